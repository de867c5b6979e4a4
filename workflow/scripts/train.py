import json
from pathlib import Path

from dejavu.progress import logged
from dejavu.training.loop import train
from dejavu.training.recipe import Recipe

with logged(snakemake.log[0]):
    w = snakemake.wildcards
    noted = json.loads(Path(snakemake.input.recipe).read_text(encoding="utf-8"))
    train(
        Recipe(**noted["recipe"]),
        w.side,
        Path(snakemake.input.manifest),
        snakemake.input.samples,
        Path(snakemake.output.checkpoints),
        Path(snakemake.output.metrics),
        state=Path("results") / w.dataset / w.split / "state" / w.model / w.side,
        code=noted["code"],
        device=noted["device"],
        title=f"train {w.split} {w.model} {w.side}",
        state_seconds=60 * snakemake.resources.state_minutes,
        workers=snakemake.resources.data_workers,
    )
