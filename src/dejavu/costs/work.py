"""The units of work of every job, which are those of :mod:`dejavu.costs.rates`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from dejavu.costs.sizes import Sizes
from dejavu.data.benchmarks import TASKS, Benchmark, find_benchmarks
from dejavu.plan.datasets import Dataset
from dejavu.plan.job_list import Job, datasets_of
from dejavu.plan.parameters import other_queries, other_texts, text_queries
from dejavu.plan.resources import compared, trained_on_each
from dejavu.sides import TFIDF, sides_measured
from dejavu.tables.roles import training_roles

# for so many queries public embeddings are read once, see dejavu.retrieval.engines
QUERIES_AT_ONCE = 32_768

# unit -> how many of them
Work = dict[str, float]


@dataclass(frozen=True)
class Planned:
    """A configuration whose cost is asked.

    Attributes:
        config: checked and complete.
        datasets: all of them by name.
        sizes: their numbers of pairs, and those of the roles.
    """

    config: Mapping[str, Any]
    datasets: Mapping[str, Dataset]
    sizes: Sizes

    @cached_property
    def benchmarks(self) -> list[Benchmark]:
        """The benchmarks of utility."""
        return find_benchmarks(self.config["utility"])

    @cached_property
    def benchmark_images(self) -> int:
        """The number of images in all benchmarks of utility."""
        drawn = self.config["utility"]["drawn"]
        number = 0
        for benchmark in self.benchmarks:
            is_drawn = self.config["utility"][benchmark.task][benchmark.name]["synthetic"] is not None
            for part, files in benchmark.files.items():
                of_set = TASKS[benchmark.task][part]
                number += drawn[of_set] if is_drawn else sum(pq.read_metadata(Path(file)).num_rows for file in files)
        return number

    def rows(self, job: Job) -> int:
        """The samples of the role that a job works on; of a population, those that are asked about."""
        queries = self.sizes.queries[job.split]
        return queries[job.role] if job.role in queries else self.sizes.roles[job.split][job.role]

    def public(self, job: Job) -> int:
        """The samples that are searched in the split of a job."""
        return self.sizes.roles[job.split]["public"]

    def asked(self, job: Job) -> int:
        """The samples of all populations in the split of a job."""
        return self.sizes.asked(job.split)

    def pairs_of_split(self, job: Job) -> int:
        """The pairs of all datasets of the split of a job."""
        return sum(self.sizes.pairs[name] for name in datasets_of(self.config["splits"][job.split]))

    def names(self, job: Job) -> list[str]:
        """What the rates of a job may be filed under: its dataset, or its model and the model's architecture."""
        if job.side is None:
            return [job.dataset]
        model, architecture = self._model(job), self.architecture(job)
        return [model, f"{model}.{job.side.letter}", *([architecture] if architecture else [])]

    def architecture(self, job: Job) -> str | None:
        """The architecture of the side that a job works on; None where a checkpoint says it, or there are no images."""
        section = self.config["models"][self._model(job)]
        built = section["sides"][job.side.letter] if "sides" in section and job.side else section
        found: str | None = built.get("architecture")
        return found

    def _model(self, job: Job) -> str:
        """The model whose weights a job on a side reads: another one where the side is that of another model."""
        if job.side is None:
            return job.model
        return job.side.source if job.side.kind == "model" else job.side.model


def work_of(job: Job, planned: Planned) -> Work:
    """Return the units of work of a job.

    Raises:
        KeyError: for a job of a stage that nobody has described here.
    """
    return {unit: number for unit, number in _STAGES[job.stage](job, planned).items() if number}


def _raw(job: Job, p: Planned) -> Work:
    dataset = p.datasets[job.dataset]
    jobs = len([made for made in dataset.form.jobs(dataset.paths) if made.partition("/")[0] == job.stage])
    return {"start": 1, "raw_pair": p.sizes.pairs[job.dataset] / jobs}


def _of_batch(unit: str) -> Callable[[Job, Planned], Work]:
    return lambda job, p: {"start": 1, unit: p.sizes.batches[job.dataset][job.subject]}


def _annotate(job: Job, p: Planned) -> Work:
    source = p.datasets[job.dataset].section["annotate"]["from"]
    unit = {"column": "annotate_pair", "import": "import_pair", "detector": "detect_pair"}[source]
    start = "start_torch" if source == "detector" else "start"
    return {start: 1, unit: p.sizes.batches[job.dataset][job.subject]}


def _of_dataset(unit: str) -> Callable[[Job, Planned], Work]:
    return lambda job, p: {"start": 1, unit: p.sizes.pairs[job.dataset]}


def _manifest(job: Job, p: Planned) -> Work:
    of = p.config["splits"][job.split]["roles"][job.role]["dataset"]
    return {"start": 1, "manifest_pair": p.sizes.pairs[of], "manifest_row": p.sizes.roles[job.split][job.role]}


def _training_set(job: Job, p: Planned) -> Work:
    roles = training_roles(p.config["splits"][job.split], job.role)
    return {"start": 1, "manifest_row": sum(p.sizes.roles[job.split][role] for role in roles)}


def _train(job: Job, p: Planned) -> Work:
    recipe = p.config["models"][job.side.model] if job.side else {}
    kept = 1 + len(recipe["checkpoints"])
    return {"start_torch": 1, "train_pair": trained_on_each(recipe), "checkpoint": kept}


def _embed(job: Job, p: Planned) -> Work:
    return {"start_torch": 1, "embed_image": p.rows(job), "embed_caption": p.rows(job)}


def _neighbors(job: Job, p: Planned) -> Work:
    asked, public = p.rows(job), p.public(job)
    if job.side is not None and job.side.source == TFIDF:
        return {"start": 1, "tfidf_text": asked + public, "tfidf_product": compared(asked, public)}
    return {"start_search": 1} | _searched(asked, public)


def _query_neighbors(job: Job, p: Planned) -> Work:
    asked, times = p.asked(job), len(other_queries(p.config))
    return {"start_search": 1} | _searched(times * asked, p.public(job))


def _searched(asked: int, public: int) -> Work:
    passes = -(-asked // QUERIES_AT_ONCE)
    return {"search_query": asked, "search_public": passes * public, "search_product": compared(asked, public)}


def _utility(job: Job, p: Planned) -> Work:
    holdout = p.rows(Job("utility", job.dataset, job.split, role="holdout"))
    start = "start_torch" if p.benchmarks else "start"
    return {
        start: 1,
        "retrieval": 1,
        "retrieval_product": compared(holdout, holdout),
        "embed_image": p.benchmark_images,
    }


def _database(job: Job, p: Planned) -> Work:
    measured = {(side.model, side.seen) for side in sides_measured(p.config, job.split)}
    return {
        "start": 1,
        "database": 1,
        "database_pair": sum(p.sizes.roles[job.split].values()),
        # captions are read for one role after the other
        "text_pair": len(p.sizes.roles[job.split]) * p.pairs_of_split(job),
        "database_query": len(measured) * p.asked(job),
    }


_STAGES: dict[str, Callable[[Job, Planned], Work]] = {
    "synthesize": _raw,
    "coco": _raw,
    "coco_file": _raw,
    "shard": _raw,
    "inventory": lambda job, p: {"start": 1, "inventory_file": len(p.datasets[job.dataset].paths)},
    "ingest": _of_batch("ingest_pair"),
    "fingerprint": _of_batch("fingerprint_pair"),
    "annotate": _annotate,
    "read_imports": _of_dataset("import_pair"),
    "match_import": _of_dataset("import_pair"),
    "duplicates": _of_dataset("duplicates_pair"),
    "evaluation_data": lambda job, p: {"start": 1, "raw_pair": sum(p.config["utility"]["drawn"].values())},
    "manifest": _manifest,
    "disjoint": lambda job, p: {"start": 1, "disjoint_pair": p.pairs_of_split(job)},
    "training_set": _training_set,
    "recipe": lambda job, p: {"start": 1},
    "train": _train,
    "describe": lambda job, p: {"start_torch": 1},
    "query_manifest": lambda job, p: {"start": 1, "manifest_row": p.rows(job)},
    "query_texts": lambda job, p: {
        "start": 1,
        "query_text": len(text_queries(p.config)) * p.asked(job),
        "text_pair": p.pairs_of_split(job),
    },
    "embed": _embed,
    "embed_captions": lambda job, p: {"start_torch": 1, "embed_caption": p.rows(job)},
    "embed_queries": lambda job, p: {"start_torch": 1, "embed_caption": other_texts(p.config) * p.asked(job)},
    "neighbors": _neighbors,
    "query_neighbors": _query_neighbors,
    "score": lambda job, p: {
        "start": 1,
        "score_query": p.rows(job),
        "score_public": p.public(job),
        "object_pair": p.pairs_of_split(job),
    },
    "population": lambda job, p: {"start": 1, "population": 1, "population_query": p.asked(job)},
    "utility": _utility,
    # A replicate costs about what its population statistics cost, for the one cell that is reported.
    "replicates": lambda job, p: {
        "start": 1,
        "population": 1,
        "population_query": p.config["splits"][job.split]["replicates"] * p.asked(job),
    },
    "attacks": lambda job, p: {"start": 1, "attacks": 1, "attacks_query": p.asked(job)},
    "database": _database,
    "figures": lambda job, p: {"start": 1, "figures": 1},
    "report": lambda job, p: {"start": 1, "report": 1},
    "studies": lambda job, p: {"start": 1, "report": 1},
}
# in the order of the workflow
STAGES = tuple(_STAGES)
