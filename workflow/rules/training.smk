# Needs:  the side's manifest and samples, and that the split's roles are disjoint
# Makes:  results/<dataset>/<split>/models/<model>/recipe.json
#         results/<dataset>/<split>/models/<model>/<side>/checkpoints/<samples seen>.pt and training.parquet
#
# Splits that draw a side's role alike share what one of them trains, see dejavu.roles.
#
# What a killed run continues from lies in results/<dataset>/<split>/state, which is no output and goes at the end.

import math

from dejavu.paths import CHECKPOINTS, DISJOINT, MANIFEST, RECIPE, TRAINING, at


rule recipe:
    """Notes everything besides the data that a model's training depends on.

    An input of its own, since while the producer of an ancient input runs again, Snakemake does not look at the
    parameters and the other inputs of the job that takes it.
    """
    input:
        architecture=architecture_file,
    output:
        RECIPE,
    log:
        "logs/{dataset}/{split}/recipe/{model}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/recipe/{model}.tsv"
    wildcard_constraints:
        model=any_of(TRAINED),
    localrule: True
    conda:
        CONDA
    resources:
        mem_mb=500,
        runtime=10,
    params:
        code=code("recipe.py"),
        training=code("train.py"),
        recipe=recipe_of,
        device=CONFIG["device"],
    script:
        "../scripts/recipe.py"


rule train:
    """Trains one side of a model; killed and started again, it goes on from its last state."""
    input:
        manifest=at(MANIFEST, role="{side}"),
        samples=folders("samples", "side"),
        recipe=RECIPE,
        # empty, too small or overlapping roles stop the run before training, which does not read this file
        disjoint=ancient(DISJOINT),
    output:
        checkpoints=directory(CHECKPOINTS),
        metrics=TRAINING,
    log:
        "logs/{dataset}/{split}/train/{model}.{side}.log",
    benchmark:
        "results/{dataset}/{split}/benchmarks/train/{model}.{side}.tsv"
    wildcard_constraints:
        model=any_of(TRAINED),
    conda:
        CONDA
    threads: lambda w: MODELS[w.model]["torch_threads"] * MODELS[w.model]["processes"]
    resources:
        **training_resources(),
        # not parameters, since they change no result
        data_workers=CONFIG["training"]["workers"],
        state_seconds=math.ceil(60 * CONFIG["training"]["state_minutes"]),
    params:
        code=code("train.py"),
    script:
        "../scripts/train.py"
