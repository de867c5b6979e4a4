import json
import os
from pathlib import Path

from dejavu.devices import CLUSTER_JOB, claim
from dejavu.errors import words
from dejavu.progress import logged
from dejavu.training.job import Job
from dejavu.training.loop import train
from dejavu.training.recipe import Recipe

with logged(snakemake.log[0]):
    w = snakemake.wildcards
    noted = json.loads(Path(snakemake.input.recipe).read_text(encoding="utf-8"))
    recipe, title = Recipe(**noted["recipe"]), words(f"train {w.split} {w.model} {w.side}")
    claim(noted["device"], recipe.processes, title)
    job = Job(
        recipe,
        w.side,
        snakemake.input.manifest,
        list(snakemake.input.samples),
        noted["device"],
        title,
        state_seconds=snakemake.resources.state_seconds,
        workers=snakemake.resources.data_workers,
        # The resource `nodes` counts on a cluster only; elsewhere all processes run on this machine.
        nodes=snakemake.resources.nodes if CLUSTER_JOB in os.environ else 1,
    )
    state = Path("results") / w.dataset / w.split / "state" / w.model / w.side
    train(job, state, noted["code"], Path(snakemake.output.checkpoints), Path(snakemake.output.metrics))
