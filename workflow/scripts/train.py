import json
from pathlib import Path

from dejavu.progress import logged
from dejavu.training.loop import Recipe, train

with logged(snakemake.log[0]):
    w = snakemake.wildcards
    recipe = json.loads(snakemake.params.recipe)
    if snakemake.input.architecture:
        recipe["architecture"] = str(snakemake.input.architecture)
    train(
        Recipe(**recipe),
        w.side,
        Path(snakemake.input.manifest),
        snakemake.input.samples,
        Path(snakemake.output.checkpoints),
        Path(snakemake.output.metrics),
        state=Path("results") / w.dataset / w.split / "state" / w.model / w.side,
        code=snakemake.params.code,
        device=snakemake.params.device,
        title=f"train {w.split} {w.model} {w.side}",
    )
