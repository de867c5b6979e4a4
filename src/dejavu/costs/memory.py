"""The memory of every job: what its process holds anyway, and what grows with its data."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from dejavu.config.architectures import check_architecture
from dejavu.costs.rates import Rates
from dejavu.costs.work import Planned, Work
from dejavu.plan.job_list import Job
from dejavu.project import BASE
from dejavu.tables.roles import training_roles

PROJECT = BASE
MB = 1e6
# parts of tables that a job reads and writes
BUFFERS_MB = 60
# weights, gradients, and the two moments of AdamW, in float32
COPIES_IN_TRAINING = 4
BYTES_OF_FLOAT = 4
# see dejavu.training.stream: smaller training sets stay decoded
DECODED_BYTES = 2**30
# see dejavu.retrieval.neighbors
PUBLIC_BLOCK = {"cpu": 200_000, "cuda": 262_144}
# see dejavu.utility.retrieval: similarities in float32, twice, and which of them are right
RETRIEVAL_CELLS = 2**24
RETRIEVAL_QUERIES = 2048
BYTES_OF_SIMILARITY = 10
# see dejavu.measurement.scoring
SCORED_AT_ONCE, NEIGHBORS_AT_ONCE = 16_384, 2_000_000

# stage -> bytes that every unit of its work holds; measured with the rehearsal, see docs/reference/scaling.md
HELD = {
    # 5 bytes for each sample, and what sorting spills through
    "duplicates_pair": 5,
    "query_text": 1_200,
    "score_query": 300,
    "population_query": 25,
    "attacks_query": 400,
    "database_query": 400,
}


def memory_of(job: Job, work: Work, planned: Planned, rates: Rates) -> float:
    """Return the MB that a job's processes hold at most.

    Args:
        job: which.
        work: its units.
        planned: the configuration.
        rates: of the machine, whose processes hold something before they read any data.
    """
    kind = "torch" if "start_torch" in work else "search" if "start_search" in work else "light"
    processes = planned.config["models"][job.side.model]["processes"] if job.stage == "train" and job.side else 1
    held = sum(HELD.get(unit, 0) * number for unit, number in work.items())
    more = _MORE.get(job.stage)
    return processes * (rates.memory[kind] + BUFFERS_MB) + (held + (more(job, planned) if more else 0)) / MB


@cache
def architecture_of(name: str) -> dict[str, Any]:
    """Return OpenCLIP's configuration of an architecture, a name or the path of a JSON file."""
    return check_architecture("planned", name, PROJECT) or {}


def dimension(job: Job, planned: Planned) -> int:
    """Return the dimension of a side's embeddings; that of ViT-B-32 where it is not known before the model is read."""
    architecture = planned.architecture(job)
    return int(architecture_of(architecture)["embed_dim"]) if architecture else 512


def parameters(architecture: dict[str, Any]) -> float:
    """Return about how many weights a model of OpenCLIP's has, with transformers of four times their width."""
    number = 0.0
    for part, is_text in ((architecture["vision_cfg"], False), (architecture["text_cfg"], True)):
        width, layers = part.get("width", 0), part.get("layers", 0)
        layers = sum(layers) if isinstance(layers, list) else layers
        number += 12 * layers * width**2 + width * architecture["embed_dim"]
        number += part.get("vocab_size", 0) * width if is_text else 3 * (part.get("patch_size") or 0) ** 2 * width
    return number


def _train(job: Job, p: Planned) -> float:
    recipe = p.config["models"][job.side.model] if job.side else {}
    built = architecture_of(recipe["architecture"])
    roles = training_roles(p.config["splits"][job.split], job.role)
    rows = sum(p.sizes.roles[job.split][role] for role in roles)
    side = built["vision_cfg"].get("image_size", 224)
    pixels = 3 * (side[0] * side[1] if isinstance(side, list) else side**2)
    resident = rows <= recipe["shuffle_buffer"]
    decoded = rows * pixels if resident and rows * pixels <= DECODED_BYTES else 0
    # images as they are stored, about a sixth of their pixels
    buffer = min(rows, recipe["shuffle_buffer"]) * pixels / 6
    # activations of one part of a batch: some tens of numbers for every pixel that goes in
    part = recipe["batch_size"] / recipe["processes"] / recipe["accumulation"]
    activations = 0 if p.config["device"] == "cuda" else 60 * part * pixels
    weights = COPIES_IN_TRAINING * BYTES_OF_FLOAT * parameters(built)
    return decoded + weights + recipe["processes"] * (buffer + activations)


def _embed(job: Job, p: Planned) -> float:
    return 24 * p.rows(job)


def _search(job: Job, p: Planned) -> float:
    block = min(p.public(job), PUBLIC_BLOCK[p.config["device"]])
    # the block as it is read and as it is searched, and the products of a part of the queries with it
    return block * (2 * BYTES_OF_FLOAT * dimension(job, p) + BYTES_OF_FLOAT * 512)


def _score(job: Job, p: Planned) -> float:
    # the labels of all public images, and the neighbours of a block of queries under both sides
    neighbors = min(min(p.rows(job), SCORED_AT_ONCE) * max(p.config["measure"]["k"]), NEIGHBORS_AT_ONCE)
    return 170 * p.public(job) + 220 * neighbors


def _population(job: Job, p: Planned) -> float:
    # the values of a block of duplicate groups of each role
    return 1_200 * min(p.asked(job), 150_000)


def _replicates(job: Job, p: Planned) -> float:
    return 2_600 * p.config["splits"][job.split]["replicates"] * p.asked(job)


def _utility(job: Job, p: Planned) -> float:
    rows = p.rows(Job("utility", job.dataset, job.split, role="holdout"))
    cells = min(rows * min(rows, RETRIEVAL_QUERIES), RETRIEVAL_CELLS)
    return rows * 2 * BYTES_OF_FLOAT * dimension(job, p) + cells * BYTES_OF_SIMILARITY


def _attacks(job: Job, p: Planned) -> float:
    # images and captions under both sides
    return 4 * BYTES_OF_FLOAT * dimension(job, p) * p.asked(job)


_MORE: dict[str, Callable[[Job, Planned], float]] = {
    "train": _train,
    "embed": _embed,
    "embed_captions": _embed,
    "neighbors": _search,
    "query_neighbors": _search,
    "score": _score,
    "population": _population,
    "replicates": _replicates,
    "utility": _utility,
    "attacks": _attacks,
}
