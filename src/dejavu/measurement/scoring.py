"""Scoring the queries of one population under both sides of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dejavu.data.samples import SampleStore, scan_file
from dejavu.errors import InputError, require_same_rows
from dejavu.files import NUMBERS_PER_GROUP, read_table, write_table
from dejavu.memorization.labels import LabelSets, NamedInCaption, Normalizer
from dejavu.memorization.scores import Hits, count_hits, f1, precision, recall
from dejavu.progress import Progress
from dejavu.tables.queries import RANDOM
from dejavu.tables.scores import SAMPLE_SCORES

# neighbours of one side that are held at a time, and the most queries that these make
NEIGHBORS_PER_BLOCK = 2_000_000
QUERIES_PER_BLOCK = 16_384


@dataclass(frozen=True)
class Measure:
    """What is measured; the keys of ``measure`` in the configuration, where they are described."""

    k: tuple[int, ...]
    labels: tuple[int | str, ...]
    score_threshold: float
    synonyms: dict[str, str]
    caption_words: bool = True


def normal_objects(
    folders: Sequence[str | Path], rows: np.ndarray, threshold: float, normalizer: Normalizer
) -> Iterator[tuple[int, list[str]]]:
    """Yields (row, normal labels) of the given samples, of objects that reach the score threshold, by row.

    Raises:
        InputError: when a sample has no row in the objects table.
    """
    for found in _shown_labels(folders, rows, threshold, normalizer):
        edges = np.searchsorted(found.owner, np.arange(len(found.rows) + 1))
        for row, (start, stop) in zip(found.rows.tolist(), pairwise(edges.tolist()), strict=True):
            yield row, [found.names[i] for i in found.label[start:stop].tolist()]


def score_population(
    neighbors: Mapping[str, tuple[Path, Path]],
    queries: Path,
    public: Path,
    samples: Sequence[str],
    objects: Sequence[str],
    scores: Path,
    *,
    measure: Measure,
    random_seed: int | None = None,
    title: str,
) -> int:
    """Writes precision, recall and F1 of every sample under both sides, for every query, k, label count and scope.

    Samples without objects in a scope are left out of that scope. The neighbours are read, and the scores written, a
    block of samples at a time; within a block cell by cell, each cell in row groups of its own.

    Args:
        neighbors: query -> neighbour tables of side a and side b for the same samples, by row and rank.
        queries: manifest of the population.
        public: manifest of the public set.
        samples, objects: batch folders.
        scores: parquet file to write, schema ``SAMPLE_SCORES``.
        measure: what to measure.
        random_seed: where one is given, a query ``random`` is scored as well: public images drawn by chance, the same
            under both sides, which is what a model scores that knows nothing.
        title: for the progress lines.

    Returns:
        Number of samples that have objects.

    Raises:
        InputError: when a neighbour is not in the public manifest or has no row in the objects table, the sides were
            searched with different queries, or a neighbour table is damaged, out of order, or has fewer than k
            neighbours for a query.
    """
    normalizer = Normalizer(measure.synonyms)
    query_rows = np.sort(read_table(queries, ["row"])["row"].to_numpy())
    public_rows = read_table(public, ["row"])["row"].to_numpy()
    shown, all_true = _objects_of(objects, public_rows, query_rows, measure.score_threshold, normalizer)
    named = _named(all_true, samples, NamedInCaption(all_true.names, normalizer, measure.caption_words), title)
    truths = {"all": all_true, "unnamed": _without(all_true, named)}
    most = max(measure.k)
    searched = {
        query: [_Side(path, _width(path, most), most, queries, public) for path in paths]
        for query, paths in neighbors.items()
    }
    width = max(side.width for sides in searched.values() for side in sides)
    size = max(1, min(QUERIES_PER_BLOCK, NEIGHBORS_PER_BLOCK // width))
    progress = Progress(title, len(query_rows) * (len(searched) + (random_seed is not None)), "queries")

    def found_by_query() -> Iterator[tuple[str, Sequence[_Found]]]:
        for query, sides in searched.items():
            for found in zip(*(side.blocks(query_rows, shown, size) for side in sides), strict=True):
                yield query, found
        if random_seed is not None:
            for one in _drawn(len(query_rows), len(public_rows), most, size, np.random.default_rng(random_seed)):
                yield RANDOM, (one, one)

    def parts() -> Iterator[pa.Table]:
        done = 0
        for query, found in found_by_query():
            done %= len(query_rows)
            stop = done + len(found[0].nearest)
            true = {scope: sets.part(done, stop) for scope, sets in truths.items()}
            out = {"unnamed": named.part(done, stop)}
            hits = [count_hits(f.positions, shown, true, measure.k, measure.labels, out) for f in found]
            yield from _tables(query, query_rows[done:stop], hits, [f.nearest for f in found], true)
            progress.advance(stop - done)
            done = stop

    write_table(scores, parts(), SAMPLE_SCORES, NUMBERS_PER_GROUP)
    progress.finish()
    return int((all_true.counts > 0).sum())


@dataclass(frozen=True)
class _ShownLabels:
    """The normal labels of some samples: sample ``rows[owner[i]]`` shows ``names[label[i]]``; owners ascend."""

    rows: np.ndarray
    owner: np.ndarray
    label: np.ndarray
    names: list[str]


def _shown_labels(
    folders: Sequence[str | Path], rows: np.ndarray, threshold: float, normalizer: Normalizer
) -> Iterator[_ShownLabels]:
    """The labels of the objects that reach the threshold, in ascending order of row; repeats are kept."""
    for table in SampleStore(folders).read(rows, ["objects"]):
        lists = table["objects"].combine_chunks()
        objects = pc.list_flatten(lists)
        encoded = pc.struct_field(objects, "label").dictionary_encode()
        label = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        spelled = encoded.dictionary.to_pylist()
        # in float64, as the threshold is
        score = pc.struct_field(objects, "score").cast(pa.float64()).to_numpy(zero_copy_only=False)
        kept = (score >= threshold) & (label >= 0)
        if "" in spelled:
            kept &= label != spelled.index("")
        owner = pc.list_parent_indices(lists).to_numpy()
        yield _ShownLabels(table["row"].to_numpy(), owner[kept], label[kept], [normalizer(name) for name in spelled])


def _objects_of(
    folders: Sequence[str], public: np.ndarray, queries: np.ndarray, threshold: float, normalizer: Normalizer
) -> tuple[LabelSets, LabelSets]:
    """The distinct labels of the public images and of the queries, with one vocabulary."""
    found = [list(_shown_labels(folders, rows, threshold, normalizer)) for rows in (public, queries)]
    used = {part.names[i] for parts in found for part in parts for i in np.unique(part.label)}
    names = tuple(sorted(used - {""}))
    return _label_sets(found[0], names), _label_sets(found[1], names)


def _label_sets(parts: Sequence[_ShownLabels], names: tuple[str, ...]) -> LabelSets:
    index = {name: i for i, name in enumerate(names)}
    cells, before = [np.empty(0, dtype=np.int64)], 0
    for part in parts:
        # a label without a word counts for nothing
        label = np.array([index.get(name, -1) for name in part.names], dtype=np.int64)[part.label]
        cells.append(((before + part.owner) * len(names) + label)[label >= 0])
        before += len(part.rows)
    # a label that an image shows twice counts once
    rows = np.concatenate([np.empty(0, dtype=np.int64), *(part.rows for part in parts)])
    return _of_cells(np.unique(np.concatenate(cells)), rows, names)


def _named(truth: LabelSets, samples: Sequence[str], named_in: NamedInCaption, title: str) -> LabelSets:
    """The labels of the whole vocabulary that the caption of each query names, in the order of ``truth``."""
    index = {name: i for i, name in enumerate(truth.names)}
    progress = Progress(title, len(truth.rows), "captions")
    cells = [np.empty(0, dtype=np.int64)]
    for table in SampleStore(samples).read(truth.rows, ["caption"]):
        found = [[index[name] for name in named_in(caption)] for caption in table["caption"].to_pylist()]
        owner = np.repeat(truth.indices_of(table["row"].to_numpy()), [len(labels) for labels in found])
        label = np.fromiter((one for labels in found for one in labels), dtype=np.int64, count=len(owner))
        cells.append(owner * len(truth.names) + label)
        progress.advance(table.num_rows)
    progress.finish()
    return _of_cells(np.sort(np.concatenate(cells)), truth.rows, truth.names)


def _without(truth: LabelSets, named: LabelSets) -> LabelSets:
    """The true objects that the caption does not name."""
    cells, out = (
        np.repeat(np.arange(len(sets.rows)), sets.counts) * len(sets.names) + sets.labels for sets in (truth, named)
    )
    return _of_cells(cells[~np.isin(cells, out, assume_unique=True)], truth.rows, truth.names)


def _of_cells(cells: np.ndarray, rows: np.ndarray, names: tuple[str, ...]) -> LabelSets:
    """Labels of ascending cells: the position of the row times the number of names, plus the label."""
    owner, label = np.divmod(cells, max(1, len(names)))
    starts = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(rows)))])
    return LabelSets(rows, starts, label.astype(np.int32), names)


@dataclass(frozen=True)
class _Found:
    """The neighbours of a block of queries.

    Attributes:
        positions: integers (queries, k), public images by their position in the labels, nearest first.
        nearest: float32 (queries,), the highest similarity.
    """

    positions: np.ndarray
    nearest: np.ndarray


@dataclass(frozen=True)
class _Side:
    """The neighbour table of one side.

    Attributes:
        path: the table, which holds the ranks 1 to ``width`` of every query.
        width: number of neighbours of a query.
        k: how many of them are wanted.
        queries, public: manifests, for the sentences of refusals.
    """

    path: Path
    width: int
    k: int
    queries: Path
    public: Path

    def blocks(self, query_rows: np.ndarray, shown: LabelSets, size: int) -> Iterator[_Found]:
        """Yields the neighbours of ``query_rows``, which ascend, ``size`` queries at a time.

        Raises:
            InputError: as in :func:`score_population`.
        """
        done = 0
        last = (-1, 0)
        for table in _tables_of(self.path, ["row", "rank", "public_row", "similarity"], size * self.width):
            row, rank = table["row"].to_numpy(), table["rank"].to_numpy()
            self._require_order(np.append(last[0], row), np.append(last[1], rank))
            last = (row[-1], rank[-1])
            rows = self._by_query(row, rank)
            if not np.array_equal(rows, query_rows[done : done + size]):
                self._refuse_queries(query_rows)
            done += len(rows)
            public_rows = table["public_row"].to_numpy().reshape(-1, self.width)[:, : self.k]
            similarity = table["similarity"].to_numpy().reshape(-1, self.width)[:, : self.k]
            yield _Found(self._positions(public_rows, shown), similarity.max(axis=1, initial=-1.0))
        if done != len(query_rows):
            self._refuse_queries(query_rows)

    def _require_order(self, row: np.ndarray, rank: np.ndarray) -> None:
        step = np.diff(row)
        if (step < 0).any() or (np.diff(rank)[step == 0] < 0).any():
            raise self._out_of_order()

    def _by_query(self, row: np.ndarray, rank: np.ndarray) -> np.ndarray:
        """The row of every query."""
        ranks = np.arange(1, self.width + 1)
        if len(row) % self.width == 0:
            rows = row.reshape(-1, self.width)
            if (rank.reshape(-1, self.width) == ranks).all() and (rows[:, :1] == rows).all():
                return rows[:, 0]
        raise InputError(f"{self.path} does not hold the same ranks for every query: delete it and run again.")

    def _positions(self, public_rows: np.ndarray, shown: LabelSets) -> np.ndarray:
        # a hash table finds them several times faster than a binary search
        positions = pc.index_in(pa.array(public_rows.ravel()), value_set=pa.array(shown.rows))
        if positions.null_count:
            stray = int(public_rows.ravel()[positions.is_null().to_numpy(zero_copy_only=False)][0])
            raise InputError(
                f"{self.path} names the public sample {stray}, which is not in {self.public}: one of them comes from "
                "another run. Delete the neighbours and run again."
            )
        return positions.to_numpy().reshape(public_rows.shape)

    def _refuse_queries(self, query_rows: np.ndarray) -> NoReturn:
        found = [np.unique(table["row"].to_numpy()) for table in _tables_of(self.path, ["row"], NEIGHBORS_PER_BLOCK)]
        searched = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *found]))
        require_same_rows(searched, query_rows, f"{self.path} and {self.queries}")
        # the same queries after all, so they come in another order
        raise self._out_of_order()

    def _out_of_order(self) -> InputError:
        return InputError(f"{self.path} is not in the order of its queries and ranks: delete it and run again.")


def _drawn(number: int, public: int, k: int, size: int, rng: np.random.Generator) -> Iterator[_Found]:
    """Yields k distinct public positions for each of ``number`` samples, ``size`` samples at a time.

    They stand one after the other in one shuffle of all, from a place that is drawn for each sample.
    """
    shuffled = rng.permutation(public)
    for start in range(0, number, size):
        places = rng.integers(public, size=(min(size, number - start), 1)) + np.arange(k)
        yield _Found(shuffled[places % public], np.zeros(len(places)))


def _width(path: Path, k: int) -> int:
    """The number of neighbours of a query.

    Raises:
        InputError: when that is below k, or the table is damaged.
    """
    width = max((pc.max(table["rank"]).as_py() for table in _tables_of(path, ["rank"], NEIGHBORS_PER_BLOCK)), default=0)
    if 0 < width < k:
        raise InputError(
            f"measure.k asks for {k:,} nearest images, but {path} has {width:,} for each query, which is all of the "
            "public set: lower k, or enlarge the role public."
        )
    return max(width, 1)


def _tables_of(path: Path, columns: list[str], size: int) -> Iterator[pa.Table]:
    """Yields a parquet file in tables of exactly ``size`` rows, the last one smaller.

    Raises:
        InputError: when the file is damaged.
    """
    held: list[pa.Table] = []
    number = 0
    for group in scan_file(path, columns):
        held.append(group)
        number += group.num_rows
        while number >= size:
            joined = pa.concat_tables(held)
            yield joined.slice(0, size)
            held, number = [joined.slice(size)], number - size
    if number:
        yield pa.concat_tables(held)


def _tables(
    query: str,
    query_rows: np.ndarray,
    hits: Sequence[Sequence[Hits]],
    nearest: Sequence[np.ndarray],
    truths: Mapping[str, LabelSets],
) -> Iterator[pa.Table]:
    """The scores of a block of samples, one table for each cell; ``hits`` and ``nearest`` hold side a, then side b."""
    for of_both in zip(*hits, strict=True):
        for scope, truth in truths.items():
            kept = truth.counts > 0
            number = int(kept.sum())
            columns = {
                "query": pa.repeat(pa.scalar(query), number),
                "k": pa.repeat(pa.scalar(of_both[0].k, pa.int32()), number),
                "labels": pa.repeat(pa.scalar(of_both[0].labels), number),
                "scope": pa.repeat(pa.scalar(scope), number),
                "row": query_rows[kept],
                "objects_n": truth.counts[kept].astype(np.int32),
            }
            for side, found, similarity in zip("ab", of_both, nearest, strict=True):
                correct = found.correct[scope][kept]
                p, r = precision(correct, found.predicted[scope][kept]), recall(correct, truth.counts[kept])
                columns |= {f"precision_{side}": p, f"recall_{side}": r, f"f1_{side}": f1(p, r)}
                columns |= {f"correct_{side}": correct, f"nearest_{side}": similarity[kept]}
            yield pa.table({name: columns[name] for name in SAMPLE_SCORES.names}, schema=SAMPLE_SCORES)
