from pathlib import Path

from dejavu.data.forms.base import Making
from dejavu.data.forms.registry import all_steps
from dejavu.progress import logged

with logged(snakemake.log[0]):
    step = next(step for _, step in all_steps() if step.name == snakemake.rule)
    step.run(
        Making(
            {name: Path(path) for name, path in snakemake.input.items()},
            {name: Path(path) for name, path in snakemake.output.items()},
            {name: snakemake.params[name] for name in step.values},
            dict(snakemake.wildcards.items()),
            title=f"{step.name} {' '.join(snakemake.wildcards)}",
        )
    )
