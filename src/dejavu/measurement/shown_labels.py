"""The normalised labels of the objects that samples show, and those of them that captions name."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dejavu.data.samples import SampleStore
from dejavu.memorization.labels import LabelSets, NamedInCaption, Normalizer
from dejavu.progress import Progress


def normal_objects(
    folders: Sequence[str | Path], rows: np.ndarray, threshold: float, normalizer: Normalizer
) -> Iterator[tuple[int, list[str]]]:
    """Yield (row, normal labels) of the given samples, of objects that reach the score threshold, by row.

    Raises:
        InputError: when a sample has no row in the objects table.
    """
    for found in _shown_labels(folders, rows, threshold, normalizer):
        edges = np.searchsorted(found.owner, np.arange(len(found.rows) + 1))
        for row, (start, stop) in zip(found.rows.tolist(), pairwise(edges.tolist()), strict=True):
            yield row, [found.names[i] for i in found.label[start:stop].tolist()]


def vocabulary(folders: Sequence[str | Path], rows: np.ndarray, threshold: float, normalizer: Normalizer) -> set[str]:
    """Return all normal labels that the given samples show; arguments and errors as for :func:`normal_objects`."""
    return _used(_shown_labels(folders, rows, threshold, normalizer))


@dataclass(frozen=True)
class _ShownLabels:
    """The normal labels of some samples: sample ``rows[owner[i]]`` shows ``names[label[i]]``; owners, int32, ascend."""

    rows: np.ndarray
    owner: np.ndarray
    label: np.ndarray
    names: list[str]


def _shown_labels(
    folders: Sequence[str | Path], rows: np.ndarray, threshold: float, normalizer: Normalizer
) -> Iterator[_ShownLabels]:
    """Yield the labels of the objects that reach the threshold, in ascending order of row; repeats are kept."""
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
        owner = pc.list_parent_indices(lists).to_numpy()[kept].astype(np.int32)
        yield _ShownLabels(table["row"].to_numpy(), owner, label[kept], [normalizer(name) for name in spelled])


def labels_of_roles(
    folders: Sequence[str], public: np.ndarray, queries: np.ndarray, threshold: float, normalizer: Normalizer
) -> tuple[LabelSets, LabelSets]:
    """Return the distinct labels of the public images and of the queries, with one vocabulary."""
    found = [deque(_shown_labels(folders, rows, threshold, normalizer)) for rows in (public, queries)]
    names = tuple(sorted(_used(chain(*found))))
    return _label_sets(found[0], names), _label_sets(found[1], names)


def _used(parts: Iterable[_ShownLabels]) -> set[str]:
    return {part.names[i] for part in parts for i in np.unique(part.label)} - {""}


def _label_sets(parts: deque[_ShownLabels], names: tuple[str, ...]) -> LabelSets:
    """Return the labels of all parts, each of which is dropped as soon as it is taken over."""
    index = {name: i for i, name in enumerate(names)}
    rows, counts, labels = ([np.zeros(0, dtype=kind)] for kind in (np.int64, np.int64, np.int32))
    while parts:
        part = parts.popleft()
        # a label without a word counts for nothing
        label = np.array([index.get(name, -1) for name in part.names], dtype=np.int64)[part.label]
        # a label that an image shows twice counts once
        cells = part.owner.astype(np.int64) * len(names) + label
        one = _of_cells(np.unique(cells[label >= 0]), part.rows, names)
        rows.append(one.rows)
        counts.append(one.counts)
        labels.append(one.labels)
    starts = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    return LabelSets(np.concatenate(rows), starts, np.concatenate(labels), names)


def named_labels(truth: LabelSets, samples: Sequence[str], named_in: NamedInCaption, title: str) -> LabelSets:
    """Return the labels of the whole vocabulary that the caption of each query names, in the order of ``truth``."""
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


def labels_without(truth: LabelSets, named: LabelSets) -> LabelSets:
    """Return the true objects that the caption does not name."""
    cells, out = (
        np.repeat(np.arange(len(sets.rows)), sets.counts) * len(sets.names) + sets.labels for sets in (truth, named)
    )
    return _of_cells(cells[~np.isin(cells, out, assume_unique=True)], truth.rows, truth.names)


def _of_cells(cells: np.ndarray, rows: np.ndarray, names: tuple[str, ...]) -> LabelSets:
    """Return the labels of ascending cells: the position of the row times the number of names, plus the label."""
    owner, label = np.divmod(cells, max(1, len(names)))
    starts = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(rows)))])
    return LabelSets(rows, starts, label.astype(np.int32), names)
