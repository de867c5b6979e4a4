"""Near-duplicate images: a 64-bit perceptual hash, and all pairs of hashes that differ in few bits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations

import numpy as np
from PIL import Image
from scipy.fft import dctn

BITS = 64
THUMBNAIL = 32
LOW_FREQUENCIES = 8
# grey levels, of 255: below it an image is flat, and its hash would be that of its noise
FLAT = 1.0
PAIRS_AT_ONCE = 2_000_000


def thumbnail(image: Image.Image) -> np.ndarray:
    """What the perceptual hash sees of an image: uint8 (32, 32), grey."""
    # the gap lets large images be halved quickly before they are resampled well
    small = image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(small, dtype=np.uint8)


def perceptual_hashes(thumbnails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The DCT hash ("pHash", as the library ImageHash defines it) of many images.

    A bit says whether one of the 64 lowest frequencies is above their median, so the hash survives scaling, encoding
    and changes of brightness, and not mirroring, rotation or cropping.

    Args:
        thumbnails: uint8 (n, 32, 32), see :func:`thumbnail`.

    Returns:
        uint64 (n,), the hashes, first bit highest; bool (n,), false for flat images, which have nothing to compare.
    """
    grey = thumbnails.astype(np.float64)
    low = dctn(grey, axes=(1, 2))[:, :LOW_FREQUENCIES, :LOW_FREQUENCIES].reshape(len(grey), BITS)
    above = low > np.median(low, axis=1, keepdims=True)
    hashes = np.packbits(above, axis=1).view(">u8").reshape(-1).astype(np.uint64)
    return hashes, grey.std(axis=(1, 2)) >= FLAT


def near_pairs(hashes: np.ndarray, distance: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields all pairs of hashes that differ in at most ``distance`` bits, a bounded number at a time.

    The bits are cut into blocks. Where at most ``distance`` bits differ, all but ``distance`` blocks agree, so the
    pairs are found among hashes that agree in some choice of so many blocks (the pigeonhole of multi-index hashing).

    Args:
        hashes: uint64 (n,), distinct: equal ones would be n² pairs.
        distance: 0 to 63.

    Yields:
        Two int64 arrays of positions in ``hashes``; a pair may come more than once.
    """
    for mask in _masks(distance, len(hashes)):
        keys = hashes & mask
        order = np.argsort(keys)
        for one, other in _pairs_of_equals(keys[order]):
            one, other = order[one], order[other]
            near = np.bitwise_count(hashes[one] ^ hashes[other]) <= distance
            yield one[near], other[near]


def _masks(distance: int, number: int) -> list[np.uint64]:
    """Every choice of blocks that agree, as a mask of their bits, with as many blocks as is cheapest."""

    def cost(agreeing: int) -> float:
        bits = BITS * agreeing // (distance + agreeing)
        # cost of sorting, and of comparing chance matches
        return math.comb(distance + agreeing, agreeing) * (20.0 * number + number**2 / 2.0 ** (bits + 1))

    agreeing = min(range(1, max(2, min(5, BITS - distance))), key=cost)
    edges = np.linspace(0, BITS, distance + agreeing + 1).astype(int).tolist()
    blocks = [((1 << high) - 1) ^ ((1 << low) - 1) for low, high in zip(edges, edges[1:], strict=False)]
    return [np.uint64(sum(chosen)) for chosen in combinations(blocks, agreeing)]


def _pairs_of_equals(values: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs of positions with equal values, which are sorted; however long a run, few pairs at a time."""
    ends = np.searchsorted(values, values, side="right")
    after = ends - np.arange(len(values)) - 1
    firsts = np.flatnonzero(after)
    total = np.concatenate([[0], np.cumsum(after[firsts])])
    start = 0
    while start < len(firsts):
        stop = max(start + 1, int(np.searchsorted(total, total[start] + PAIRS_AT_ONCE, side="right")) - 1)
        counts = after[firsts[start:stop]]
        one = np.repeat(firsts[start:stop], counts)
        within = np.arange(len(one)) - np.repeat(total[start:stop] - total[start], counts)
        yield one, one + 1 + within
        start = stop
