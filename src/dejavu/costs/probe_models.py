"""Rates of a model: a process of its own, which trains and embeds on a few samples in a folder.

It reads its task as JSON from its input, and prints the rates as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from dejavu.costs.memory import architecture_of, parameters
from dejavu.costs.rates import Rate
from dejavu.costs.timing import fit, line, per_unit, seconds_of, size_below
from dejavu.data.samples import RoleSamples
from dejavu.encoders.interface import Model, Running
from dejavu.encoders.load import load_encoder
from dejavu.files import write_array
from dejavu.retrieval.choice import AUTO, guessed
from dejavu.retrieval.embed import Arrays, embed, embed_captions
from dejavu.retrieval.neighbors import Asked, Embedded, Search, write_neighbors
from dejavu.training.job import Job
from dejavu.training.loop import train
from dejavu.training.recipe import Recipe

# a model of more weights takes seconds a step on a CPU
LARGE = 2e7
LARGE_BATCH = 32
# device -> few and many queries, and few and many public embeddings
SEARCHED = {"cpu": (250, 4_000, 2_000, 50_000), "cuda": (1_000, 8_000, 2_000, 200_000)}
TITLE = "probe"


@dataclass(frozen=True)
class Task:
    """What is asked.

    Attributes:
        model: as :class:`dejavu.encoders.interface.Model` takes it.
        recipe: how it is trained; None where it is not trained here.
        samples: folder of some samples.
        folder: to work in.
        device, batch_size, search, k: of embedding and search.
        workers: threads that decode for a training.
    """

    model: Mapping[str, Any]
    recipe: Mapping[str, Any] | None
    samples: str
    folder: str
    device: str
    batch_size: int
    search: str
    k: int
    workers: int


def main() -> None:
    """Measure and print."""
    task = Task(**json.load(sys.stdin))
    print(json.dumps({unit: [rate.seconds, rate.written] for unit, rate in model_rates(task).items()}))


def model_rates(task: Task) -> dict[str, Rate]:
    """Return the rates of a model, and how long it takes to load under ``load``."""
    rates: dict[str, Rate] = {}
    model = dict(task.model)
    if task.recipe is not None:
        rates |= _training(task)
        seen = _steps(_recipe(task))[1] * _recipe(task)["batch_size"]
        model |= {"weights": str(Path(task.folder) / "long"), "seen": seen}
    loaded: list[Any] = []
    rates["load"] = Rate(
        seconds_of(lambda: loaded.append(load_encoder(Model(**model), Running(task.batch_size, task.device))))
    )
    return rates | _embedding(task, loaded[0])


def _recipe(task: Task) -> dict[str, Any]:
    """Return the recipe of one process, of its share of a batch, smaller where that takes too long."""
    names = {field.name for field in fields(Recipe)}
    recipe = {key: value for key, value in (task.recipe or {}).items() if key in names}
    batch = recipe["batch_size"] // recipe["processes"]
    if task.device == "cpu" and parameters(architecture_of(recipe["architecture"])) > LARGE:
        batch = min(batch, LARGE_BATCH)
    return recipe | {"batch_size": batch, "processes": 1, "accumulation": 1, "checkpoints": ()}


def _steps(recipe: Mapping[str, Any]) -> tuple[int, int]:
    """Return the steps of a short and a long training."""
    return 2, 2 + max(
        2, 4000 // recipe["batch_size"] if parameters(architecture_of(recipe["architecture"])) <= LARGE else 2
    )


def _training(task: Task) -> dict[str, Rate]:
    recipe, folder = _recipe(task), Path(task.folder)
    costs: list[tuple[float, Rate]] = []
    files = sorted(Path(task.samples).glob("*.parquet"))
    rows = np.concatenate([pq.read_table(file, columns=["row"])["row"].to_numpy() for file in files])
    pq.write_table(pa.table({"row": np.sort(rows)}), folder / "manifest.parquet")
    torch.set_num_threads(recipe["torch_threads"])
    for name, steps in zip(("short", "long"), _steps(recipe), strict=True):
        seen = steps * recipe["batch_size"]
        how = Recipe(**(recipe | {"samples_seen": seen}))
        job = Job(how, "a", str(folder / "manifest.parquet"), [task.samples], task.device, TITLE, workers=task.workers)
        seconds = seconds_of(train, job, folder / f"{name}-state", "", folder / name, folder / f"{name}.parquet")
        costs.append((float(seen), Rate(seconds)))
    _, pair = line(*costs)
    return {"train_pair": pair, "checkpoint": Rate(0.0, size_below((folder / "long").glob("*.pt")))}


def _embedding(task: Task, encoder: Any) -> dict[str, Rate]:
    folder = Path(task.folder)
    role = RoleSamples(folder / "manifest.parquet", [task.samples])
    files = sorted(Path(task.samples).glob("*.parquet"))
    rows = np.concatenate([pq.read_table(file, columns=["row"])["row"].to_numpy() for file in files])
    number = min(len(rows), 64 if task.device == "cpu" and _is_large(task) else 400)
    pq.write_table(pa.table({"row": np.sort(rows)[:number]}), folder / "manifest.parquet")
    captions, row_array, images = (folder / f"{kind}.npy" for kind in ("captions", "rows", "images"))
    embed_captions(encoder, role, captions, row_array, TITLE)
    texts = seconds_of(embed_captions, encoder, role, captions, row_array, TITLE)
    rates = {"embed_caption": per_unit(texts, number, size_below([captions]))}
    dimension = int(np.load(captions, mmap_mode="r").shape[1])
    if task.model["kind"] != "text_encoder":
        arrays = Arrays(images, captions, row_array)
        # once for what a process does at first
        embed(encoder, role, arrays, TITLE)
        both = seconds_of(embed, encoder, role, arrays, TITLE)
        rates["embed_image"] = per_unit(max(0.0, both - texts), number, size_below([images, row_array]))
    return rates | _search(task, dimension)


def _is_large(task: Task) -> bool:
    architecture = task.model.get("architecture")
    return architecture is None or parameters(architecture_of(architecture)) > LARGE


def _search(task: Task, dimension: int) -> dict[str, Rate]:
    """Search with few and with many queries, among few and among many."""
    rng, folder = np.random.default_rng(0), Path(task.folder)

    def drawn(name: str, number: int) -> Embedded:
        array = rng.normal(size=(number, dimension)).astype(np.float32)
        write_array(folder / f"{name}.npy", array / np.linalg.norm(array, axis=1, keepdims=True))
        write_array(folder / f"{name}.rows.npy", np.arange(number))
        return Embedded(folder / f"{name}.npy", folder / f"{name}.rows.npy")

    few, many, least, most = SEARCHED[task.device]
    table = folder / "neighbors.parquet"
    asked = {number: Asked(drawn(f"queries-{number}", number), table, TITLE) for number in (few, many)}
    public = {number: drawn(f"public-{number}", number) for number in (least, most)}
    # all with the engine of a large search
    engine = guessed(task.device, float("inf")) if task.search == AUTO else task.search
    how = Search(task.k, 1, task.device, engine)
    # the engine is loaded by the first
    write_neighbors([asked[few]], public[least], how)
    measured = []
    for queries, among in ((few, least), (many, least), (few, most), (many, most)):
        seconds = seconds_of(write_neighbors, [asked[queries]], public[among], how)
        amounts = {"search_query": queries, "search_public": among, "search_product": queries * among}
        measured.append((amounts, Rate(seconds)))
    found = fit(measured)
    return found | {"search_query": Rate(found["search_query"].seconds, size_below([table]) / many)}


if __name__ == "__main__":
    main()
