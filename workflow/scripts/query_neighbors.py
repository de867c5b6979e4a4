from pathlib import Path

from dejavu.devices import claim
from dejavu.errors import words
from dejavu.progress import logged
from dejavu.retrieval.neighbors import Asked, Embedded, Search, write_neighbors
from dejavu.tables.fields import POPULATIONS

with logged(snakemake.log[0]):
    w, p, inputs = snakemake.wildcards, snakemake.params, snakemake.input
    claim(p.device, 1, words(f"neighbors {w.split} {w.model} {w.side}"))
    asked = [
        Asked(
            Embedded(Path(inputs[f"{name}_{query}"]), Path(inputs[f"{name}_rows"])),
            Path(snakemake.output[f"{name}_{query}"]),
            words(f"neighbors {w.split} {w.model} {w.side} {name} {query}"),
        )
        for name in POPULATIONS
        for query in p.queries
    ]
    public = Embedded(Path(inputs.public), Path(inputs.public_rows))
    write_neighbors(asked, public, Search(p.k, snakemake.threads, p.device, snakemake.resources.engine))
