from pathlib import Path

from dejavu.devices import claim
from dejavu.errors import words
from dejavu.progress import logged
from dejavu.retrieval.neighbors import Embedded, Search, write_neighbors
from dejavu.tables.fields import POPULATIONS

with logged(snakemake.log[0]):
    w, p, inputs = snakemake.wildcards, snakemake.params, snakemake.input
    claim(p.device, 1, words(f"neighbors {w.split} {w.model} {w.side}"))
    public = Embedded(Path(inputs.public), Path(inputs.public_rows))
    for name in POPULATIONS:
        for query in p.queries:
            write_neighbors(
                Embedded(Path(inputs[f"{name}_{query}"]), Path(inputs[f"{name}_rows"])),
                public,
                Path(snakemake.output[f"{name}_{query}"]),
                Search(p.k, snakemake.threads, p.device),
                words(f"neighbors {w.split} {w.model} {w.side} {name} {query}"),
            )
