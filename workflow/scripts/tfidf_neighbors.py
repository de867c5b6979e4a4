from pathlib import Path

from dejavu.encoders.tfidf import tfidf_neighbors
from dejavu.errors import words
from dejavu.progress import logged

with logged(snakemake.log[0]):
    w = snakemake.wildcards
    tfidf_neighbors(
        Path(snakemake.input.queries),
        Path(snakemake.input.public),
        snakemake.input.samples,
        Path(snakemake.output[0]),
        k=snakemake.params.k,
        title=words(f"neighbors {w.split} {w.model} {w.side} {w.population}"),
    )
