"""What the jobs of a configuration cost together: by stage, and in hours on so many cores and GPUs."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from dejavu.costs.memory import memory_of
from dejavu.costs.rates import Rates
from dejavu.costs.work import STAGES, Planned, work_of
from dejavu.plan.job_list import Job, all_jobs
from dejavu.roles import trained_in

# stages that run on a GPU where the configuration has one
ON_GPU = {"train", "embed", "embed_captions", "embed_queries", "neighbors", "query_neighbors"}
# stages that may run beside each other; a group begins when all before it are done
GROUPS = (
    ("coco", "read_imports"),
    ("synthesize", "coco_file", "shard", "evaluation_data"),
    ("inventory", "ingest"),
    ("match_import",),
    ("annotate", "fingerprint"),
    ("duplicates",),
    ("manifest",),
    ("disjoint", "query_manifest", "training_set", "recipe", "describe", "query_texts"),
    ("train",),
    ("embed", "embed_captions", "embed_queries"),
    ("neighbors", "query_neighbors"),
    ("score",),
    ("population", "utility", "attacks"),
    ("replicates",),
    ("database",),
    ("figures",),
    ("report",),
    ("studies",),
)


@dataclass(frozen=True)
class Machine:
    """What jobs run on.

    Attributes:
        cores, gpus: how many there are.
    """

    cores: int
    gpus: int = 0


@dataclass(frozen=True)
class JobCost:
    """What one job costs.

    Attributes:
        job: which.
        seconds: from start to end.
        memory: MB at most, of all its processes.
        written: bytes that stay on disk.
        cores, gpus: that it takes meanwhile.
        unknown: units of work that nobody knows a rate of, which count nothing.
    """

    job: Job
    seconds: float
    memory: float
    written: float
    cores: int
    gpus: int
    unknown: Sequence[str] = ()


@dataclass
class StageCost:
    """What the jobs of a stage cost together.

    Attributes:
        stage: its name in the table of stages.
        jobs: how many there are.
        hours: of all jobs one after the other.
        core_hours, gpu_hours: those times the cores, or the GPUs, of each job.
        wall_hours: until all are done, of those that may run at the same time its share.
        memory: MB of its largest job.
        gigabytes: that it leaves on disk.
        unknown: units of work without a rate.
    """

    stage: str
    jobs: int = 0
    hours: float = 0.0
    core_hours: float = 0.0
    gpu_hours: float = 0.0
    wall_hours: float = 0.0
    memory: float = 0.0
    gigabytes: float = 0.0
    unknown: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Prediction:
    """What a configuration costs.

    Attributes:
        machine: that it runs on.
        rates: that the prediction is made with: machine, device and source.
        pairs: dataset -> pairs.
        stages: in the order of the workflow.
    """

    machine: Machine
    rates: Mapping[str, str]
    pairs: Mapping[str, int]
    stages: Sequence[StageCost]

    def total(self, quantity: str) -> float:
        """The sum of a quantity over the stages; of memory the largest."""
        amounts = [getattr(stage, quantity) for stage in self.stages]
        return max(amounts, default=0.0) if quantity == "memory" else sum(amounts)

    @property
    def training_share(self) -> float:
        """The share of training in all hours of GPUs, or, where there are none, of cores."""
        quantity = "gpu_hours" if self.total("gpu_hours") else "core_hours"
        trained = sum(getattr(stage, quantity) for stage in self.stages if stage.stage == "train")
        return trained / self.total(quantity) if self.total(quantity) else 0.0

    def as_json(self) -> dict[str, Any]:
        """The prediction as it is written to a file."""
        totals = {
            name: self.total(name)
            for name in ("jobs", "hours", "core_hours", "gpu_hours", "wall_hours", "memory", "gigabytes")
        }
        return asdict(self) | {"total": totals, "training_share": self.training_share}


def predict(planned: Planned, rates: Rates, machine: Machine) -> Prediction:
    """Return what a configuration costs, as if nothing of it were done.

    Args:
        planned: the configuration.
        rates: of one core's process, or of one GPU.
        machine: how many of them there are. So many GPUs count as so many times one, and a group of stages begins
            when the groups before it are done.
    """
    jobs = all_jobs(planned.config, planned.datasets, partial(trained_in, planned.config))
    costs = [cost_of(job, planned, rates) for job in jobs]
    stages = {name: StageCost(name) for name in STAGES}
    for cost in costs:
        _add(stages[cost.job.stage], cost)
    for group in GROUPS:
        of_group = [cost for cost in costs if cost.job.stage in group]
        wall, work = wall_seconds(of_group, machine), sum(cost.seconds for cost in of_group)
        for name in group:
            stages[name].wall_hours = wall / 3600 * (stages[name].hours * 3600 / work if work else 0)
    told = {"machine": rates.machine, "device": rates.device, "source": rates.source}
    return Prediction(machine, told, dict(planned.sizes.pairs), [stage for stage in stages.values() if stage.jobs])


def cost_of(job: Job, planned: Planned, rates: Rates) -> JobCost:
    """Return what one job costs."""
    work = work_of(job, planned)
    names = planned.names(job)
    known = {unit: rates.of(unit, names) for unit in work}
    priced = [(work[unit], rate) for unit, rate in known.items() if rate is not None]
    cores, gpus = _taken(job, planned)
    return JobCost(
        job,
        seconds=sum(number * rate.seconds for number, rate in priced),
        memory=memory_of(job, work, planned, rates),
        written=sum(number * rate.written for number, rate in priced),
        cores=cores,
        gpus=gpus,
        unknown=[unit for unit, rate in known.items() if rate is None],
    )


def _taken(job: Job, planned: Planned) -> tuple[int, int]:
    """Return the cores and the GPUs of a job."""
    on_gpu = planned.config["device"] == "cuda" and (
        job.stage in ON_GPU or (job.stage == "utility" and planned.benchmarks)
    )
    model = planned.config["models"].get(job.side.model, {}) if job.side else {}
    processes = int(model.get("processes", 1)) if job.stage == "train" else 1
    section = model["sides"][job.side.letter] if job.side and "sides" in model else model
    threaded = job.stage in ("train", "embed", "embed_queries", "utility")
    threads = int(section.get("torch_threads") or 1) if threaded else 1
    return threads * processes, processes if on_gpu else 0


def _add(stage: StageCost, cost: JobCost) -> None:
    hours = cost.seconds / 3600
    stage.jobs += 1
    stage.hours += hours
    stage.core_hours += hours * cost.cores
    stage.gpu_hours += hours * cost.gpus
    stage.memory = max(stage.memory, cost.memory)
    stage.gigabytes += cost.written / 1e9
    stage.unknown = sorted({*stage.unknown, *cost.unknown})


def wall_seconds(costs: Iterable[JobCost], machine: Machine) -> float:
    """Return the seconds until all of some jobs are done, when the longest begin first and none waits for another.

    A job that takes more cores or GPUs than there are is given all of them, as Snakemake does with cores.
    """
    free = {"cores": machine.cores, "gpus": machine.gpus}
    ends: list[tuple[float, int, int]] = []
    now = end = 0.0
    waiting: dict[tuple[int, int], list[float]] = defaultdict(list)
    for cost in costs:
        asked = (min(cost.cores, machine.cores), min(cost.gpus, machine.gpus))
        waiting[asked].append(cost.seconds)
    for seconds in waiting.values():
        seconds.sort()
    while any(waiting.values()):
        fits = [
            asked for asked, left in waiting.items() if left and asked[0] <= free["cores"] and asked[1] <= free["gpus"]
        ]
        if not fits:
            now, cores, gpus = heapq.heappop(ends)
            free["cores"] += cores
            free["gpus"] += gpus
            continue
        asked = max(fits, key=lambda asked: waiting[asked][-1])
        end_of_job = now + waiting[asked].pop()
        end = max(end, end_of_job)
        heapq.heappush(ends, (end_of_job, *asked))
        free["cores"] -= asked[0]
        free["gpus"] -= asked[1]
    return end
