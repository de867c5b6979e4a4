# Needs:  the manifest and the samples of the side's training set, and the check that the split's roles are disjoint
# Makes:  results/<dataset>/<split>/models/<model>/recipe.json
#         results/<dataset>/<split>/models/<model>/<side>/checkpoints/<samples seen>.pt and training.parquet
#
# Splits that draw a side's training set in the same way share one training, see dejavu.roles.
#
# The state that a killed training resumes from is in results/<dataset>/<split>/state. The state is no output, and
# training removes it at the end.

import math

from dejavu.paths import CHECKPOINTS, DISJOINT, RECIPE, TRAINING


rule recipe:
    """Write `recipe.json`: everything besides the data that a model's training depends on.

    The recipe is a file rather than parameters of `train`: while the job that makes an ancient input (the check of the
    roles) runs again, Snakemake ignores changed parameters and other inputs of `train`, but not a changed file.
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
    """Train one side of a model; a training that was killed goes on from its last state."""
    input:
        manifest=training_set,
        samples=training_samples,
        recipe=RECIPE,
        # Training does not read this file; waiting for it stops empty, too small or overlapping roles before training.
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
        # These two values are resources, not parameters, because they change no result.
        data_workers=CONFIG["training"]["workers"],
        state_seconds=math.ceil(60 * CONFIG["training"]["state_minutes"]),
    params:
        code=code("train.py"),
    script:
        "../scripts/train.py"
