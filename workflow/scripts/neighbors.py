from pathlib import Path

from dejavu.devices import claim
from dejavu.errors import words
from dejavu.progress import logged
from dejavu.retrieval.neighbors import Embedded, Search, write_neighbors

with logged(snakemake.log[0]):
    w, p = snakemake.wildcards, snakemake.params
    title = words(f"neighbors {w.split} {w.model} {w.side} {w.population}")
    claim(p.device, 1, title)
    write_neighbors(
        Embedded(Path(snakemake.input.captions), Path(snakemake.input.caption_rows)),
        Embedded(Path(snakemake.input.public), Path(snakemake.input.public_rows)),
        Path(snakemake.output[0]),
        Search(p.k, snakemake.threads, p.device),
        title,
    )
