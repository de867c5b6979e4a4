"""The pairs of one role under the sides of a model, as attacks on membership see them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dejavu.errors import InputError
from dejavu.files import read_array

# of embeddings, what is in memory at once
PAIRS_PER_BLOCK = 16_384


@dataclass(frozen=True)
class Embeddings:
    """Image and caption embeddings of one role under one side; L2-normalised, row i of both is the sample ``rows[i]``.

    Attributes:
        images, captions: float32 (n, dimension).
        rows: int64 (n,), ascending.
    """

    images: np.ndarray
    captions: np.ndarray
    rows: np.ndarray

    @classmethod
    def read(cls, images: Path, captions: Path, rows: Path) -> Embeddings:
        """Read ``.npy`` files.

        Raises:
            InputError: when the arrays do not have the same number of rows.
        """
        found = cls(read_array(images), read_array(captions), np.asarray(read_array(rows)))
        if not len(found.images) == len(found.captions) == len(found.rows):
            raise InputError(f"{images}, {captions} and {rows} differ in length: delete them and run again.")
        return found

    def blocks(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Yield which pairs come, their images and their captions, each float32 (pairs, dimension), in memory."""
        for start in range(0, len(self.rows), PAIRS_PER_BLOCK):
            block = slice(start, min(start + PAIRS_PER_BLOCK, len(self.rows)))
            yield block, read_rows(self.images, block), read_rows(self.captions, block)

    def cosines(self) -> np.ndarray:
        """Return float64 (n,): the cosine of every pair."""
        found = np.empty(len(self.rows))
        for block, images, captions in self.blocks():
            found[block] = np.einsum("ij,ij->i", images, captions)
        return found


def read_rows(array: np.ndarray, block: slice) -> np.ndarray:
    """Return rows of an array; of one that is mapped from a file they are read, as mapped pages count as memory."""
    if not isinstance(array, np.memmap) or not array.flags.c_contiguous:
        return array[block]
    rows = np.empty((block.stop - block.start, *array.shape[1:]), array.dtype)
    with open(str(array.filename), "rb") as handle:
        handle.seek(array.offset + block.start * (array.nbytes // max(1, len(array))))
        handle.readinto(rows.data.cast("B"))
    return rows


@dataclass(frozen=True)
class Pairs:
    """What is known of the pairs of one role.

    Attributes:
        rows: int64 (n,), ascending.
        groups: int (n,), a number from 0 for each duplicate group.
        csa: float64 (n,), cosine under the side.
        clipmem: float64 (n,), or None where the other side has no image encoder.
        gap: float64 (n,), recall under the side minus recall under the other side; NaN for queries without objects.
        reference_csa: float64 (n,), cosine under the side minus under the other side; None as for clipmem.
        group_sizes: int64 (groups,), how many samples of the dataset are in each group, whatever their role; None where
            chance has drawn the roles, so that sizes play no part.
    """

    rows: np.ndarray
    groups: np.ndarray
    csa: np.ndarray
    clipmem: np.ndarray | None
    gap: np.ndarray
    reference_csa: np.ndarray | None = None
    group_sizes: np.ndarray | None = None

    @property
    def number(self) -> int:
        """Of the groups."""
        return int(self.groups.max()) + 1

    def part(self, chosen: np.ndarray) -> Pairs:
        """Return the pairs of some of the groups; bool (groups,)."""
        kept = chosen[self.groups]
        columns = (self.csa, self.clipmem, self.gap, self.reference_csa)
        csa, clipmem, gap, reference_csa = (None if c is None else c[kept] for c in columns)
        assert csa is not None and gap is not None
        sizes = None if self.group_sizes is None else self.group_sizes[chosen]
        groups = np.unique(self.groups[kept], return_inverse=True)[1]
        return Pairs(self.rows[kept], groups, csa, clipmem, gap, reference_csa, sizes)

    def weights(self, rng: np.random.Generator) -> np.ndarray:
        """Return float64 (n,): how often each pair is in a bootstrap resample of the duplicate groups."""
        number = self.number
        return rng.multinomial(number, np.full(number, 1 / number)).astype(np.float64)[self.groups]


def alignment(pairs: Embeddings, unrelated: Embeddings) -> np.ndarray:
    """Return float64 (n,): how much closer the halves of a pair are to each other than to unrelated halves.

    The cosine of the pair, minus the mean cosine of its image with unrelated captions, minus the mean cosine of its
    caption with unrelated images; after CLIPMem (arXiv 2502.07830), without its augmentations. A pair that is itself
    among the unrelated ones is left out of its own means.

    Args:
        pairs: what is measured.
        unrelated: pairs that the model was not trained on.
    """
    inside = np.isin(pairs.rows, unrelated.rows)
    number = len(unrelated.rows) - inside
    all_images, all_captions = np.zeros((2, pairs.images.shape[1]))
    for _, images, captions in unrelated.blocks():
        all_images += images.sum(axis=0, dtype=np.float64)
        all_captions += captions.sum(axis=0, dtype=np.float64)
    found = np.empty(len(pairs.rows))
    for block, images, captions in pairs.blocks():
        own = np.einsum("ij,ij->i", images, captions).astype(np.float64)
        with_captions = images @ all_captions - inside[block] * own
        with_images = captions @ all_images - inside[block] * own
        found[block] = own - (with_captions + with_images) / np.maximum(number[block], 1)
    return found
