"""Near-duplicate images: a 64-bit perceptual hash, and a search for all pairs of hashes that differ in few bits."""

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
# grey levels, of 255. An image with a smaller standard deviation is flat, and its hash would be one of noise.
FLAT = 1.0
# number of pairs that are compared at a time, which bounds the memory
PAIRS_AT_ONCE = 2_000_000


def thumbnail(image: Image.Image) -> np.ndarray:
    """Return the small grey image that the perceptual hash is computed from; uint8 (32, 32)."""
    # The reducing gap lets Pillow first shrink a large image quickly, by averaging blocks of pixels.
    small = image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(small, dtype=np.uint8)


def perceptual_hashes(thumbnails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the DCT hashes of images, "pHash" as in the library ImageHash.

    Each bit says whether one of the 64 lowest frequencies is above their median. So the hash survives scaling, encoding
    and changes of brightness, but not mirroring, rotation or cropping.

    Args:
        thumbnails: uint8 (n, 32, 32), from :func:`thumbnail`.

    Returns:
        The hashes, uint64 (n,), with the first bit highest, and bool (n,), which is false for flat images, whose hashes
        mean nothing.
    """
    grey = thumbnails.astype(np.float64)
    low = dctn(grey, axes=(1, 2))[:, :LOW_FREQUENCIES, :LOW_FREQUENCIES].reshape(len(grey), BITS)
    above = low > np.median(low, axis=1, keepdims=True)
    hashes = np.packbits(above, axis=1).view(">u8").reshape(-1).astype(np.uint64)
    return hashes, grey.std(axis=(1, 2)) >= FLAT


def near_pairs(hashes: np.ndarray, distance: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield all pairs of hashes that differ in at most ``distance`` bits, a bounded number at a time.

    The search is multi-index hashing: the bits are cut into blocks, and by the pigeonhole principle, two hashes that
    differ in at most ``distance`` bits agree in all blocks but ``distance``. So only hashes that agree in such a choice
    of blocks are compared.

    Args:
        hashes: uint64 (n,), distinct, since n equal hashes would be n² pairs.
        distance: largest number of bits, 0 to 63.

    Yields:
        Two int64 arrays of positions in ``hashes``. A pair may come more than once.
    """
    for mask in _masks(distance, len(hashes)):
        keys = hashes & mask
        order = np.argsort(keys)
        for first, second in _pairs_of_equals(keys[order]):
            left, right = order[first], order[second]
            near = np.bitwise_count(hashes[left] ^ hashes[right]) <= distance
            yield left[near], right[near]


def _masks(distance: int, number: int) -> list[np.uint64]:
    """Return the mask of bits of every choice of agreeing blocks, for the number of blocks with the lowest cost."""

    def cost(agreeing: int) -> float:
        bits = BITS * agreeing // (distance + agreeing)
        # Every choice of blocks costs one sort of the hashes and the comparison of the pairs that agree by chance.
        return math.comb(distance + agreeing, agreeing) * (20.0 * number + number**2 / 2.0 ** (bits + 1))

    agreeing = min(range(1, max(2, min(5, BITS - distance))), key=cost)
    edges = np.linspace(0, BITS, distance + agreeing + 1).astype(int).tolist()
    blocks = [((1 << high) - 1) ^ ((1 << low) - 1) for low, high in zip(edges, edges[1:], strict=False)]
    return [np.uint64(sum(chosen)) for chosen in combinations(blocks, agreeing)]


def _pairs_of_equals(values: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield all pairs of positions with equal values in a sorted array, a bounded number of positions at a time."""
    ends = np.searchsorted(values, values, side="right")
    after = ends - np.arange(len(values)) - 1
    firsts = np.flatnonzero(after)
    total = np.concatenate([[0], np.cumsum(after[firsts])])
    start = 0
    while start < len(firsts):
        stop = max(start + 1, int(np.searchsorted(total, total[start] + PAIRS_AT_ONCE, side="right")) - 1)
        counts = after[firsts[start:stop]]
        left = np.repeat(firsts[start:stop], counts)
        within = np.arange(len(left)) - np.repeat(total[start:stop] - total[start], counts)
        yield left, left + 1 + within
        start = stop
