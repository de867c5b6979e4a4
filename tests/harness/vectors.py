"""Vectors whose products are exact, and their nearest neighbours by a product in float64."""

from __future__ import annotations

import math

import numpy as np


def whole_numbers(seed: int, rows: int, dimension: int, high: int = 3) -> np.ndarray:
    """Return vectors of small whole numbers: their products are exact in float32, and many are equal."""
    return np.random.default_rng(seed).integers(-high, high + 1, size=(rows, dimension)).astype(np.float32)


def in_float64(queries: np.ndarray, public: np.ndarray, k: int) -> tuple[list, list]:
    """Return the k largest inner products of each query and their positions, added up exactly and rounded once."""
    similarity, position = [], []
    for query in queries.tolist():
        products = [math.fsum(x * y for x, y in zip(query, image, strict=True)) for image in public.tolist()]
        order = sorted(range(len(products)), key=lambda i, products=products: (-products[i], i))[:k]
        position.append(order)
        similarity.append([products[i] for i in order])
    return similarity, position
