import json
from pathlib import Path

from dejavu.errors import words
from dejavu.progress import logged, say
from dejavu.studies.scoring import Measure, score_population

with logged(snakemake.log[0]):
    w = snakemake.wildcards
    title = words(f"score {w.split} {w.model} {w.population}")
    count = score_population(
        Path(snakemake.input.neighbors_a),
        Path(snakemake.input.neighbors_b),
        Path(snakemake.input.queries),
        Path(snakemake.input.public),
        snakemake.input.samples,
        snakemake.input.objects,
        Path(snakemake.output[0]),
        measure=Measure(**json.loads(snakemake.params.measure)),
        title=title,
    )
    say(f"[{title}] {count:,} queries have objects")
