from pathlib import Path

from dejavu.devices import claim
from dejavu.errors import words
from dejavu.progress import logged
from dejavu.retrieval.neighbors import Asked, Embedded, Search, write_neighbors

with logged(snakemake.log[0]):
    w, p, inputs = snakemake.wildcards, snakemake.params, snakemake.input
    title = words(f"neighbors {w.split} {w.model} {w.side} {w.population}")
    claim(p.device, 1, title)
    write_neighbors(
        [Asked(Embedded(Path(inputs.captions), Path(inputs.caption_rows)), Path(snakemake.output[0]), title)],
        Embedded(Path(inputs.public), Path(inputs.public_rows)),
        Search(p.k, snakemake.threads, p.device, snakemake.resources.engine),
    )
