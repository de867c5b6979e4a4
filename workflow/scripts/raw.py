import json
from importlib import import_module
from pathlib import Path

from dejavu.data.forms.base import Making
from dejavu.progress import logged

with logged(snakemake.log[0]):
    p, subject = snakemake.params, " ".join(snakemake.wildcards)
    step = next(step for step in import_module(p.module).FORM.steps if step.name == p.step)
    step.run(
        Making(
            {name: Path(path) for name, path in snakemake.input.items()},
            {name: Path(path) for name, path in snakemake.output.items()},
            json.loads(p.values),
            title=f"{step.name} {subject}",
        )
    )
