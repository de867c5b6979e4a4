# Needs:  the configuration
# Makes:  what rules ask for, as functions of a job: memory, minutes, nodes and GPUs; the formulas are in
#         dejavu.plan.resources

from dejavu.plan import resources as asks

RATES = asks.RATES[CONFIG["device"]]
EMBEDDED = RATES.embedded
TEXTS_PER_SAMPLE = asks.TEXTS_PER_SAMPLE
ROWS_PER_GB = asks.ROWS_PER_GB
# Snakemake 9 has an object in place of the number
RUN_GPUS = workflow.resource_settings.resources.get("gpu")
EMBED_WORKERS = asks.embed_workers(
    CONFIG["measure"]["embed_workers"],
    CONFIG["device"],
    # None on a cluster; `workflow.cores` raises there
    workflow.resource_settings.cores,
    getattr(RUN_GPUS, "value", RUN_GPUS),
)


def as_list(entry):
    """The files of a named entry of an input."""
    return [entry] if isinstance(entry, str) else entry or []


def growing(base, per_gb=0, of=None):
    """A resource, mem_mb or runtime, that grows with the input and with every further attempt of a job.

    base: what an empty input takes; per_gb: more for each GB of the input, all or the named entries of it.
    """

    def amount(wildcards, input, attempt):
        files = (
            input
            if of is None
            else [file for name in of for file in as_list(input.get(name))]
        )
        return asks.grown(attempt, base, per_gb, files)

    return amount


def search_minutes(*queries, times=1):
    """A resource, runtime: what searches ask for, which grows with queries times searched.

    queries: entries of the input that are row arrays; times: how often each of them is searched with.
    """

    def minutes(wildcards, input, attempt):
        asked = [input[name] for name in queries]
        return asks.search_minutes(attempt, asked, input["public_rows"], times, RATES)

    return minutes


def training_nodes(wildcards):
    """How many machines of a cluster train a side of a model together."""
    return (
        CONFIG["training"]["nodes"] if MODELS[wildcards.model]["processes"] > 1 else 1
    )


def training_resources():
    """What a training asks for: the same on every node, and what makes Slurm give several where they are wanted."""

    def share(w):
        return MODELS[w.model]["processes"] // training_nodes(w)

    def several(w):
        return training_nodes(w) > 1

    resources = {
        "mem_mb": lambda w, attempt: asks.training_memory(
            attempt, MODELS[w.model], share(w)
        ),
        "runtime": lambda w: asks.training_minutes(MODELS[w.model], CONFIG["device"]),
        "nodes": training_nodes,
        "gpu": lambda w: GPUS * share(w),
    }
    if CONFIG["training"]["nodes"] > 1:
        resources |= {
            "mpi": lambda w: "srun" if several(w) else "",
            "tasks": lambda w: training_nodes(w) if several(w) else 0,
            "cpus_per_task": lambda w: MODELS[w.model]["torch_threads"] * share(w),
            # Slurm is told per node
            "gpu": lambda w: 0 if several(w) else GPUS * share(w),
            "slurm_extra": lambda w: (
                f"--gpus-per-node={share(w)}" if GPUS and several(w) else ""
            ),
        }
    return resources
