"""The jobs of a configuration, as the rules will run them: what the table of stages and the cost model count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dejavu.data.benchmarks import drawn_datasets
from dejavu.paths import DATASET, SPLIT, at
from dejavu.plan.asked import may_exceed_limit
from dejavu.plan.datasets import Dataset
from dejavu.plan.parameters import other_queries, text_queries
from dejavu.replicates import replicated_models
from dejavu.sides import TFIDF, Side, sides_measured, trained_sides
from dejavu.tables.fields import POPULATIONS, ROLES
from dejavu.tables.roles import SHARED, roles_of

# split, model, letter of a side -> the split that trains it
Trainer = Callable[[str, str, str], str]


@dataclass(frozen=True)
class Job:
    """One job of the workflow.

    Attributes:
        stage: its name in the table of stages, which is that of its rule or of several rules of one kind.
        dataset: in whose folder it writes.
        split: in whose folder it writes; empty where it works on a dataset alone.
        subject: what tells it apart from other jobs of its stage: a batch, a role, a model with its side; empty where
            there is no other.
        side: the side that it works on.
        model, seen: the model that it works on, and its number of samples seen, where it works on both sides.
        role: the role, or the population, that it works on.
    """

    stage: str
    dataset: str
    split: str = ""
    subject: str = ""
    side: Side | None = None
    model: str = ""
    seen: int = 0
    role: str = ""

    @property
    def benchmark(self) -> str:
        """The path of the file in which Snakemake notes what the job cost."""
        folder = at(SPLIT, dataset=self.dataset, split=self.split) if self.split else at(DATASET, dataset=self.dataset)
        return f"{folder}/benchmarks/{self.stage}/{self.subject}.tsv".replace("/.tsv", ".tsv")


def datasets_of(split: Mapping[str, Any]) -> list[str]:
    """Return the names of a split's datasets: its own first, then those that only roles name."""
    return list(dict.fromkeys([split["dataset"], *(split["roles"][role]["dataset"] for role in roles_of(split))]))


def split_jobs(
    config: Mapping[str, Any], datasets: Mapping[str, Dataset], split: str, trainer: Trainer
) -> Iterator[Job]:
    """Yield the jobs that a split's database is made from, in the order of the workflow.

    This is the list of stages: the table ``stages`` has a row for everything that is named here, and no other.

    Args:
        config: checked and complete.
        datasets: all datasets by name.
        split: its name.
        trainer: says which split trains a side, as :func:`dejavu.roles.trained_in` does.
    """
    section = config["splits"][split]
    for name in datasets_of(section):
        yield from dataset_jobs(datasets[name])
    for name in drawn_datasets(config["utility"]):
        yield Job("evaluation_data", name)
    dataset = section["dataset"]
    yield from (Job("manifest", dataset, split, role, role=role) for role in roles_of(section))
    for role in ROLES:
        if may_exceed_limit(config, split, role):
            yield Job("query_manifest", dataset, split, role, role=role)
    yield Job("disjoint", dataset, split)
    yield from _trainings(config, split, trainer)
    yield from _measurements(config, dataset, split)


def all_jobs(config: Mapping[str, Any], datasets: Mapping[str, Dataset], trainer: Trainer) -> list[Job]:
    """Return every job of a configuration once, whatever number of splits and studies ask for it.

    Args:
        config: checked and complete.
        datasets: all datasets by name.
        trainer: as for :func:`split_jobs`.
    """
    jobs: dict[str, Job] = {}
    for split, section in config["splits"].items():
        # A further replicate has no database of its own.
        stages = () if "replicate" in section else ("database", "figures", "report")
        ends = [Job(stage, section["dataset"], split) for stage in stages]
        jobs |= {job.benchmark: job for job in [*split_jobs(config, datasets, split, trainer), *ends]}
    for name, study in config["studies"].items():
        job = Job("studies", config["splits"][study["split"]]["dataset"], subject=name)
        jobs[job.benchmark] = job
    return list(jobs.values())


def dataset_jobs(dataset: Dataset) -> Iterator[Job]:
    """Yield the jobs that work on a dataset alone."""
    name = dataset.name
    for made in dataset.form.jobs(dataset.paths):
        stage, _, subject = made.partition("/")
        yield Job(stage, name, subject=subject)
    yield Job("inventory", name)
    yield from (Job("ingest", name, subject=batch) for batch in dataset.batches)
    if dataset.section["annotate"]["from"] == "import":
        yield from (Job(stage, name) for stage in ("read_imports", "match_import"))
    for stage in ("annotate", "fingerprint") if dataset.has_objects else ("fingerprint",):
        yield from (Job(stage, name, subject=batch) for batch in dataset.batches)
    yield Job("duplicates", name)


def _trainings(config: Mapping[str, Any], split: str, trainer: Trainer) -> Iterator[Job]:
    """Yield the trainings of a split, also those that another split does for it."""
    sides = trained_sides(sides_measured(config, split))
    places = {side: trainer(split, side.model, side.letter) for side in sides}
    folders = {place: config["splits"][place]["dataset"] for place in places.values()}
    recipes = {Job("recipe", folders[place], place, side.model, model=side.model) for side, place in places.items()}
    yield from sorted(recipes, key=lambda job: job.benchmark)
    if SHARED in config["splits"][split]["roles"]:
        for place, letter in sorted({(place, side.letter) for side, place in places.items()}):
            yield Job("training_set", folders[place], place, letter, role=letter)
    for side, place in places.items():
        yield Job("train", folders[place], place, f"{side.model}.{side.letter}", side, role=side.letter)


def _measurements(config: Mapping[str, Any], dataset: str, split: str) -> Iterator[Job]:
    """Yield the jobs that measure models, from embeddings to attacks."""

    def of_sides(stage: str, sides: Iterable[Side], roles: Sequence[str] = ("",)) -> Iterator[Job]:
        for side in sides:
            name = f"{side.model}.{side.letter}.{side.seen}"
            for role in roles:
                yield Job(stage, dataset, split, f"{name}.{role}" if role else name, side, role=role)

    sides = sides_measured(config, split)
    embedded = [side for side in sides if side.own]
    readers = [side for side in sides if not side.has_images and side.source != TFIDF]
    asked = other_queries(config)
    yield from of_sides("describe", [side for side in embedded if side.kind == "checkpoint"])
    if text_queries(config):
        yield Job("query_texts", dataset, split)
    yield from of_sides("embed", embedded, ROLES)
    yield from of_sides("embed_captions", readers, ROLES)
    yield from of_sides("embed_queries", embedded if asked else [])
    yield from of_sides("neighbors", sides, POPULATIONS)
    yield from of_sides("query_neighbors", [side for side in sides if side.has_images] if asked else [])
    measured = sorted({(side.model, side.seen) for side in sides})
    for model, seen in measured:
        for role in POPULATIONS:
            yield Job("score", dataset, split, f"{model}.{seen}.{role}", model=model, seen=seen, role=role)
    for model, seen in measured:
        yield Job("population", dataset, split, f"{model}.{seen}", model=model, seen=seen)
    for model, seen in replicated_models(config, split).items():
        yield Job("replicates", dataset, split, f"{model}.{seen}", model=model, seen=seen)
    for stage in ("utility", "attacks"):
        yield from of_sides(stage, embedded)
