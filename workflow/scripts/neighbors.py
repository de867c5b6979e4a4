from pathlib import Path

from dejavu.progress import logged
from dejavu.retrieval.neighbors import write_neighbors

with logged(snakemake.log[0]):
    w = snakemake.wildcards
    write_neighbors(
        Path(snakemake.input.captions),
        Path(snakemake.input.caption_rows),
        Path(snakemake.input.public),
        Path(snakemake.input.public_rows),
        Path(snakemake.output[0]),
        k=snakemake.params.k,
        threads=snakemake.threads,
        title=f"neighbors {w.split} {w.model} {w.side} {w.population}",
    )
