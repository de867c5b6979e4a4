"""Scoring the queries of one population under both sides of a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from dejavu.data.samples import SampleStore
from dejavu.errors import InputError, require_same_rows
from dejavu.files import read_table, write_table
from dejavu.memorization.labels import LabelSets, NamedInCaption, Normalizer, label_sets
from dejavu.memorization.scores import count_hits, f1, precision, recall
from dejavu.progress import Progress
from dejavu.tables import SAMPLE_SCORES


@dataclass(frozen=True)
class Measure:
    """What is measured; the keys of ``measure`` in the configuration, where they are described."""

    k: tuple[int, ...]
    labels: tuple[int | str, ...]
    score_threshold: float
    synonyms: dict[str, str]


def normal_objects(
    folders: Sequence[str | Path], rows: np.ndarray, threshold: float, normalizer: Normalizer
) -> Iterator[tuple[int, list[str]]]:
    """Yields (row, normal labels) of the given samples, of objects that reach the score threshold, by row.

    Raises:
        InputError: when a sample has no row in the objects table.
    """
    for table in SampleStore(folders).read(rows, ["objects"]):
        for row, found in zip(table["row"].to_pylist(), table["objects"].to_pylist(), strict=True):
            yield row, [normalizer(o["label"]) for o in found or [] if o["label"] and o["score"] >= threshold]


def score_population(
    neighbors_a: Path,
    neighbors_b: Path,
    queries: Path,
    public: Path,
    samples: Sequence[str],
    objects: Sequence[str],
    scores: Path,
    *,
    measure: Measure,
    title: str,
) -> int:
    """Writes precision, recall and F1 of every query under both sides, for every k, label count and scope.

    Queries without objects in a scope are left out of that scope.

    Args:
        neighbors_a, neighbors_b: neighbour tables of the two sides for the same queries.
        queries: manifest of the population.
        public: manifest of the public set.
        samples, objects: batch folders.
        scores: parquet file to write, schema ``SAMPLE_SCORES``.
        measure: what to measure.
        title: for the progress lines.

    Returns:
        Number of queries that have objects.

    Raises:
        InputError: when a neighbour is not in the public manifest or has no row in the objects table, or the sides
            were searched with different queries.
    """
    normalizer = Normalizer(measure.synonyms)
    query_rows = np.sort(read_table(queries, ["row"])["row"].to_numpy())
    public_rows = read_table(public, ["row"])["row"].to_numpy()
    shown, all_true = _objects_of(objects, public_rows, query_rows, measure.score_threshold, normalizer)
    truths = {"all": all_true, "unnamed": _unnamed(all_true, samples, normalizer)}
    k_max = max(measure.k)
    sides = {}
    for side, path in (("a", neighbors_a), ("b", neighbors_b)):
        rows, found, similarity = _read_neighbors(path, k_max)
        require_same_rows(rows, query_rows, f"{path} and {queries}")
        positions = shown.indices_of(found)
        if (positions < 0).any():
            stray = int(found[positions < 0][0])
            raise InputError(
                f"{path} names the public sample {stray}, which is not in {public}: one of them comes from another "
                "run. Delete the neighbours and run again."
            )
        hits = count_hits(positions, shown, truths, measure.k, measure.labels)
        sides[side] = (hits, similarity.max(axis=1, initial=-1.0))
    progress = Progress(title, len(sides["a"][0]) * len(truths), "cells")
    parts = _tables(query_rows, sides, truths, progress)
    write_table(scores, parts, SAMPLE_SCORES)
    progress.finish()
    return int((all_true.counts > 0).sum())


def _objects_of(
    folders: Sequence[str], public: np.ndarray, queries: np.ndarray, threshold: float, normalizer: Normalizer
) -> tuple[LabelSets, LabelSets]:
    rows_of, labels_of = {}, {}
    names: set[str] = set()
    for which, rows in (("public", public), ("queries", queries)):
        found = list(normal_objects(folders, rows, threshold, normalizer))
        rows_of[which], labels_of[which] = [r for r, _ in found], [labels for _, labels in found]
        names.update(label for _, labels in found for label in labels)
    vocabulary = sorted(names - {""})
    return (
        label_sets(rows_of["public"], labels_of["public"], vocabulary),
        label_sets(rows_of["queries"], labels_of["queries"], vocabulary),
    )


def _unnamed(truth: LabelSets, samples: Sequence[str], normalizer: Normalizer) -> LabelSets:
    """The true objects that the caption does not name."""
    named_in = NamedInCaption(truth.names, normalizer)
    labels: list[list[str]] = [[] for _ in truth.rows]
    for table in SampleStore(samples).read(truth.rows, ["caption"]):
        for row, caption in zip(table["row"].to_pylist(), table["caption"].to_pylist(), strict=True):
            index = int(truth.indices_of(np.array([row]))[0])
            named = named_in(caption)
            labels[index] = [label for label in truth.names_at(index) if label not in named]
    return label_sets(truth.rows.tolist(), labels, truth.names)


def _read_neighbors(path: Path, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """rows (n,), public rows (n, k) and similarities (n, k), nearest first, by ascending row."""
    table = read_table(path).sort_by([("row", "ascending"), ("rank", "ascending")])
    rank = table["rank"].to_numpy()
    width = int(rank.max()) if len(rank) else 0
    if 0 < width < k:
        raise InputError(
            f"measure.k asks for {k:,} nearest images, but {path} has {width:,} for each query, which is all of the "
            "public set: lower k, or enlarge the role public."
        )
    if len(rank) % max(width, 1) or not np.array_equal(
        rank, np.tile(np.arange(1, width + 1), len(rank) // max(width, 1))
    ):
        raise InputError(f"{path} does not hold the same ranks for every query: delete it and run again.")
    shape = (-1, width)
    rows = table["row"].to_numpy().reshape(shape)[:, 0]
    return (
        rows,
        table["public_row"].to_numpy().reshape(shape)[:, :k],
        table["similarity"].to_numpy().reshape(shape)[:, :k],
    )


def _tables(
    query_rows: np.ndarray, sides: dict, truths: dict[str, LabelSets], progress: Progress
) -> Iterable[pa.Table]:
    for hits_a, hits_b in zip(sides["a"][0], sides["b"][0], strict=True):
        for scope, truth in truths.items():
            kept = truth.counts > 0
            columns = {
                "k": np.full(kept.sum(), hits_a.k, dtype=np.int32),
                "labels": [hits_a.labels] * int(kept.sum()),
                "scope": [scope] * int(kept.sum()),
                "row": query_rows[kept],
                "objects_n": truth.counts[kept].astype(np.int32),
            }
            for side, hits in (("a", hits_a), ("b", hits_b)):
                correct = hits.correct[scope][kept]
                p, r = precision(correct, hits.predicted[kept]), recall(correct, truth.counts[kept])
                columns |= {f"precision_{side}": p, f"recall_{side}": r, f"f1_{side}": f1(p, r)}
                columns |= {f"correct_{side}": correct, f"nearest_{side}": sides[side][1][kept]}
            progress.advance(1)
            yield pa.table({name: columns[name] for name in SAMPLE_SCORES.names}, schema=SAMPLE_SCORES)
