import json
from pathlib import Path

from dejavu.errors import words
from dejavu.measurement.groups import Drawing, QueryRoles
from dejavu.measurement.options import Statistics
from dejavu.measurement.population import summarize
from dejavu.processes import give_back_freed_arrays
from dejavu.progress import logged
from dejavu.tables.fields import POPULATIONS

with logged(snakemake.log[0]):
    give_back_freed_arrays()
    w, inputs = snakemake.wildcards, snakemake.input
    measure = json.loads(snakemake.params.measure)
    roles = QueryRoles(
        scores={name: Path(inputs[f"scores_{name}"]) for name in POPULATIONS},
        manifests={name: Path(inputs[f"manifest_{name}"]) for name in POPULATIONS},
        drawings={role: Drawing(**drawn) for role, drawn in json.loads(snakemake.params.drawings).items()},
        duplicates=[Path(path) for path in inputs.duplicates],
    )
    summarize(
        roles,
        {name: Path(path) for name, path in snakemake.output.items()},
        statistics=Statistics(
            samplings=measure["samplings"]["repeats"],
            fraction=measure["samplings"]["fraction"],
            bootstrap=measure["bootstrap"],
            counts=tuple(measure["top_l"]["counts"]),
            fractions=tuple(measure["top_l"]["fractions"]),
            seed=measure["seed"],
        ),
        one_model=snakemake.params.one_model,
        title=words(f"population {w.split} {w.model}"),
    )
