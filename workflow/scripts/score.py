import json
from pathlib import Path

from dejavu.errors import words
from dejavu.measurement.options import Measure
from dejavu.measurement.scoring import ScoredFiles, score_population
from dejavu.processes import give_back_freed_arrays
from dejavu.progress import logged, say

with logged(snakemake.log[0]):
    give_back_freed_arrays()
    w = snakemake.wildcards
    title = words(f"score {w.split} {w.model} {w.population}")
    sides = zip(snakemake.params.queries, snakemake.input.neighbors_a, snakemake.input.neighbors_b, strict=True)
    files = ScoredFiles(
        neighbors={query: (Path(a), Path(b)) for query, a, b in sides},
        queries=Path(snakemake.input.queries),
        public=Path(snakemake.input.public),
        samples=snakemake.input.samples,
        objects=snakemake.input.objects,
    )
    count = score_population(
        files,
        Path(snakemake.output[0]),
        measure=Measure(**json.loads(snakemake.params.measure)),
        random_seed=snakemake.params.random_seed,
        title=title,
    )
    say(f"[{title}] {count:,} queries have objects")
