import json
from pathlib import Path

from dejavu.errors import words
from dejavu.measurement.scoring import Measure, score_population
from dejavu.progress import logged, say

with logged(snakemake.log[0]):
    w = snakemake.wildcards
    title = words(f"score {w.split} {w.model} {w.population}")
    count = score_population(
        {
            query: (Path(a), Path(b))
            for query, a, b in zip(
                snakemake.params.queries, snakemake.input.neighbors_a, snakemake.input.neighbors_b, strict=True
            )
        },
        Path(snakemake.input.queries),
        Path(snakemake.input.public),
        snakemake.input.samples,
        snakemake.input.objects,
        Path(snakemake.output[0]),
        measure=Measure(**json.loads(snakemake.params.measure)),
        random_seed=snakemake.params.random_seed,
        title=title,
    )
    say(f"[{title}] {count:,} queries have objects")
