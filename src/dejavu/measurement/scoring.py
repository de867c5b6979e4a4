"""Scoring the queries of one population under both sides of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from dejavu.files import NUMBERS_PER_GROUP, read_table, write_table
from dejavu.measurement.neighbor_blocks import Found, NeighborTable, random_blocks, width_of
from dejavu.measurement.options import Measure
from dejavu.measurement.shown_labels import labels_of_roles, labels_without, named_labels
from dejavu.memorization.labels import LabelSets, NamedInCaption, Normalizer
from dejavu.memorization.scores import Hits, count_hits, f1, precision, recall
from dejavu.progress import Progress
from dejavu.tables.queries import RANDOM
from dejavu.tables.scores import SAMPLE_SCORES

# neighbours of one side that are held at a time, and the most queries that these make
NEIGHBORS_PER_BLOCK = 2_000_000
QUERIES_PER_BLOCK = 16_384


@dataclass(frozen=True)
class ScoredFiles:
    """What the scores of one population are made from.

    Attributes:
        neighbors: query -> neighbour tables of side a and side b for the same samples, by row and rank.
        queries: manifest of the population.
        public: manifest of the public set.
        samples, objects: batch folders.
    """

    neighbors: Mapping[str, tuple[Path, Path]]
    queries: Path
    public: Path
    samples: Sequence[str]
    objects: Sequence[str]


def score_population(
    files: ScoredFiles, scores: Path, *, measure: Measure, random_seed: int | None = None, title: str
) -> int:
    """Write precision, recall and F1 of every sample under both sides, for every query, k, label count and scope.

    Samples without objects in a scope are left out of that scope. The neighbours are read, and the scores written, a
    block of samples at a time; within a block cell by cell, each cell in row groups of its own.

    Args:
        files: what is read.
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
    query_rows = np.sort(read_table(files.queries, ["row"])["row"].to_numpy())
    public_rows = read_table(files.public, ["row"])["row"].to_numpy()
    shown, all_true = labels_of_roles(files.objects, public_rows, query_rows, measure.score_threshold, normalizer)
    named_in = NamedInCaption(all_true.names, normalizer, measure.caption_words)
    named = named_labels(all_true, files.samples, named_in, title)
    truths = {"all": all_true, "unnamed": labels_without(all_true, named)}
    most = max(measure.k)
    searched = {
        query: [NeighborTable(path, width_of(path, most), most, files.queries, files.public) for path in paths]
        for query, paths in files.neighbors.items()
    }
    width = max(side.width for sides in searched.values() for side in sides)
    size = max(1, min(QUERIES_PER_BLOCK, NEIGHBORS_PER_BLOCK // width))
    progress = Progress(title, len(query_rows) * (len(searched) + (random_seed is not None)), "queries")

    def found_by_query() -> Iterator[tuple[str, Sequence[Found]]]:
        for query, sides in searched.items():
            for found in zip(*(side.blocks(query_rows, shown, size) for side in sides), strict=True):
                yield query, found
        if random_seed is not None:
            for one in random_blocks(len(query_rows), len(public_rows), most, size, np.random.default_rng(random_seed)):
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


def _tables(
    query: str,
    query_rows: np.ndarray,
    hits: Sequence[Sequence[Hits]],
    nearest: Sequence[np.ndarray],
    truths: Mapping[str, LabelSets],
) -> Iterator[pa.Table]:
    """Yield the scores of a block of samples, a table for each cell; ``hits`` and ``nearest`` hold side a, then b."""
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
