import json
from pathlib import Path

from dejavu.errors import words
from dejavu.measurement.population import Drawing, Statistics, summarize
from dejavu.progress import logged
from dejavu.tables.fields import POPULATIONS

with logged(snakemake.log[0]):
    w = snakemake.wildcards
    measure = json.loads(snakemake.params.measure)
    summarize(
        {name: Path(snakemake.input[f"scores_{name}"]) for name in POPULATIONS},
        {name: Path(snakemake.input[f"manifest_{name}"]) for name in POPULATIONS},
        {name: Path(path) for name, path in snakemake.output.items()},
        statistics=Statistics(
            samplings=measure["samplings"]["repeats"],
            fraction=measure["samplings"]["fraction"],
            bootstrap=measure["bootstrap"],
            counts=tuple(measure["top_l"]["counts"]),
            fractions=tuple(measure["top_l"]["fractions"]),
            seed=measure["seed"],
        ),
        drawings={role: Drawing(**drawn) for role, drawn in json.loads(snakemake.params.drawings).items()},
        duplicates=[Path(path) for path in snakemake.input.duplicates],
        one_model=snakemake.params.one_model,
        title=words(f"population {w.split} {w.model}"),
    )
