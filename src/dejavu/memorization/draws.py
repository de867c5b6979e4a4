"""Random weights of duplicate groups: resamples, subsets, signs and role labels, drawn a block of groups at a time.

No matrix of all groups by all draws is ever made. Up to :data:`GROUPS_PER_BLOCK` groups are one block, which is drawn
as a whole. Beyond that, draws are hierarchical, which leaves their distribution as it is: first how many of the drawn
items fall into a block, given what the blocks before it have got, and then which groups of the block they are.

* With replacement the first step is binomial and the second uniform: a multinomial count is the count of uniform draws.
* Without replacement the first step is hypergeometric, and the second a uniform subset of fixed size.

What is drawn depends on the source of chance and on the sizes of the blocks, never on how many draws are held at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

GROUPS_PER_BLOCK = 32_768
# weights that are held at once, as 8-byte numbers
CELLS_PER_PART = 5_000_000
# of a layer with fewer groups in a block, sorting all draws at once is faster than drawing one by one
FEWEST_ONE_BY_ONE = 256
_LEVELS = 1 << 16

# a block's weights, in parts: which draws, and float64 (draws of the part, groups of the block)
Parts = Iterator[tuple[slice, np.ndarray]]


def block_sizes(number: int) -> list[int]:
    """Return the sizes of the blocks that so many groups are cut into; one empty block where there are none."""
    return [min(GROUPS_PER_BLOCK, number - start) for start in range(0, number, GROUPS_PER_BLOCK)] or [0]


def resamples(blocks: Sequence[int], draws: int, rng: np.random.Generator) -> Iterator[Parts]:
    """Yield for each block how often each of its groups is in each resample with replacement of all groups.

    Args:
        blocks: sizes of the blocks.
        draws: number of resamples, each of as many groups as there are.
        rng: source of chance. A block has to be gone through before the next one is asked for.
    """
    if len(blocks) == 1:
        number = blocks[0]
        chances = np.full(number, 1 / number)
        yield ((part, rng.multinomial(number, chances, size=_length(part))) for part in parts_of(number, draws))
        return
    left, groups = np.full(draws, sum(blocks)), sum(blocks)
    for size in blocks:
        own = rng.binomial(left, size / groups)
        left, groups = left - own, groups - size
        yield _rows(size, draws, partial(_counts, size, own, rng))


def _counts(groups: int, drawn: np.ndarray, rng: np.random.Generator, i: int) -> np.ndarray:
    return np.bincount(rng.integers(0, groups, size=drawn[i]), minlength=groups)


def subsets(blocks: Sequence[int], size: int, draws: int, rng: np.random.Generator) -> Iterator[Parts]:
    """Yield for each block 1 where a group is in a random subset of all groups, else 0.

    Args:
        blocks, draws, rng: as for :func:`resamples`.
        size: number of groups in every subset.
    """
    if len(blocks) == 1:
        number = blocks[0]

        def chosen(_: int) -> np.ndarray:
            weights = np.zeros(number)
            weights[rng.choice(number, size=size, replace=False)] = 1
            return weights

        yield _rows(number, draws, chosen)
        return
    left, groups = np.full(draws, size), sum(blocks)
    for number in blocks:
        own = rng.hypergeometric(number, groups - number, left)
        left, groups = left - own, groups - number
        yield _rows(number, draws, partial(_subset, number, own, rng))


def _subset(number: int, sizes: np.ndarray, rng: np.random.Generator, i: int) -> np.ndarray:
    """Return bool (number,) with ``sizes[i]`` true places, all subsets of that size being equally likely.

    Places that are true independently of each other are, given their number, such a subset. What there is too much of
    is taken out by chance, and what is missing put in by chance, which treats all places alike.
    """
    size = int(sizes[i])
    share = np.uint32(round(_LEVELS * size / max(1, number)))
    inside = rng.integers(0, _LEVELS, size=number, dtype=np.uint16) < share
    excess = int(np.count_nonzero(inside)) - size
    if excess:
        from_these = np.flatnonzero(inside == (excess > 0))
        inside[from_these[rng.choice(len(from_these), size=abs(excess), replace=False, shuffle=False)]] = excess < 0
    return inside


def signs(blocks: Sequence[int], draws: int, rng: np.random.Generator) -> Iterator[Parts]:
    """Yield for each block a random sign, -1 or 1, of each of its groups; arguments as for :func:`resamples`."""
    if len(blocks) == 1:
        number = blocks[0]
        yield ((part, rng.integers(0, 2, size=(_length(part), number)) * 2.0 - 1.0) for part in parts_of(number, draws))
        return
    for number in blocks:
        yield _rows(number, draws, partial(_signs, number, rng))


def _signs(number: int, rng: np.random.Generator, _: int) -> np.ndarray:
    return rng.integers(0, 2, size=number, dtype=bool) * 2.0 - 1.0


def relabelings(
    blocks: Sequence[int], member: np.ndarray, layers: np.ndarray | None, draws: int, rng: np.random.Generator
) -> Iterator[Parts]:
    """Yield for each block 1 where a group is in the first of two roles after a permutation of labels, else 0.

    Args:
        blocks, draws, rng: as for :func:`resamples`.
        member: bool (groups,), which groups are in the first role as it is.
        layers: int (groups,), the stratum of each group, within which labels are permuted; None: there is one.
    """
    if len(blocks) == 1:
        yield _sorted_labels(member, np.zeros(len(member), dtype=np.int64) if layers is None else layers, draws, rng)
        return
    if layers is None:
        yield from subsets(blocks, int(np.count_nonzero(member)), draws, rng)
        return
    layer = np.unique(layers, return_inverse=True)[1]
    groups = np.bincount(layer)
    left = np.repeat(np.bincount(layer[member], minlength=len(groups))[:, None], draws, axis=1)
    start = 0
    for size in blocks:
        here = layer[start : start + size]
        start += size
        inside = np.bincount(here, minlength=len(groups))
        own = rng.hypergeometric(inside[:, None], (groups - inside)[:, None], left)
        left, groups = left - own, groups - inside
        yield _layered_labels(here, own, draws, rng)


def _layered_labels(layer: np.ndarray, own: np.ndarray, draws: int, rng: np.random.Generator) -> Parts:
    """Yield the labels of a block, of which ``own`` (layers, draws) groups of each layer are in the first role."""
    present, numbers = np.unique(layer, return_counts=True)
    one_by_one = [(at, np.flatnonzero(layer == at)) for at in present[numbers >= FEWEST_ONE_BY_ONE].tolist()]
    rest = np.flatnonzero(np.isin(layer, present[numbers < FEWEST_ONE_BY_ONE]))
    rest = rest[np.argsort(layer[rest], kind="stable")]
    of_rest, first = layer[rest], np.searchsorted(layer[rest], layer[rest])

    def labels(i: int) -> np.ndarray:
        inside = np.zeros(len(layer))
        for at, places in one_by_one:
            inside[places] = _subset(len(places), own[at], rng, i)
        if len(rest):
            # the first groups of each layer in a random order
            order = np.lexsort((rng.random(len(rest)), of_rest))
            inside[rest[order]] = np.arange(len(rest)) - first < own[of_rest, i]
        return inside

    return _rows(len(layer), draws, labels)


def _sorted_labels(member: np.ndarray, layers: np.ndarray, draws: int, rng: np.random.Generator) -> Parts:
    by_layer = np.argsort(layers, kind="stable")
    # in the order of layers, the first role's groups of a layer first
    pattern = member[np.lexsort((~member, layers))].astype(np.float64)
    for part in parts_of(len(member), draws):
        keys = layers[by_layer] + rng.random((_length(part), len(member)))
        labels = np.empty((_length(part), len(member)))
        np.put_along_axis(labels, by_layer[np.argsort(keys, axis=1)], pattern[None], axis=1)
        yield part, labels


def _rows(groups: int, draws: int, drawn: Callable[[int], np.ndarray]) -> Parts:
    """Yield what is drawn for one draw after the other, number and boolean alike as float64."""
    for part in parts_of(groups, draws):
        weights = np.empty((_length(part), groups))
        for i in range(part.start, part.stop):
            weights[i - part.start] = drawn(i)
        yield part, weights


def parts_of(groups: int, draws: int) -> Iterator[slice]:
    """Yield which draws go into each part, so that no part holds more than :data:`CELLS_PER_PART` weights."""
    size = max(1, CELLS_PER_PART // max(1, groups))
    return (slice(start, min(start + size, draws)) for start in range(0, draws, size))


def _length(part: slice) -> int:
    return int(part.stop - part.start)
