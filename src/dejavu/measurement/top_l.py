"""Gaps of the queries that come first in an order, beside what choosing in the same way makes of the holdout."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dejavu.memorization import gaps
from dejavu.tables.queries import CAPTION

SORTS = ("nearest", "correct", "gap")
# resamples of the intervals, fewer than elsewhere: every order is gone through for each
DRAWS = 200
# who chooses: population of the rows -> the side; nobody was trained on the holdout, so there either side does
CHOOSERS = {"a": {"a": "a"}, "b": {"b": "b"}, "holdout": {"holdout": "a", "holdout chosen by b": "b"}}
SYMMETRIC = {"symmetric": ("a", "b"), "holdout_symmetric": ("holdout", "holdout chosen by b")}
GAPS = ("precision_gap", "recall_gap", "f1_gap", "mean_f1_gap")


class TopL:
    """The rows of the table ``top_l``.

    The first queries are chosen under the side that was trained on the population. On the holdout side a chooses;
    ``holdout_symmetric`` has side b choose as well and halves the difference, which is what ``symmetric`` does with the
    training roles. A count is one of the side's training role; of the holdout the same share is taken, since what
    choosing makes of noise depends on the share. The interval of the recall gap is of the bootstrap over duplicate
    groups, in which the queries of every resample are chosen anew; only what is asked with captions has one.

    Args:
        counts, fractions: how many of the first queries are taken, of their number and of their share.
    """

    def __init__(self, counts: Sequence[int], fractions: Sequence[float]) -> None:
        self._counts, self._fractions = counts, fractions
        self._weights: np.ndarray = np.zeros((0, 0))
        self._rows: list[dict[str, Any]] = []

    def resample(self, population: str, groups: int, rng: np.random.Generator) -> None:
        """Draws how often each duplicate group of a population is in every resample."""
        self._weights = rng.multinomial(groups, np.full(groups, 1 / groups), size=DRAWS) if groups else np.zeros((0, 0))

    def add(
        self,
        population: str,
        place: Mapping[str, Any],
        cell: Mapping[str, np.ndarray],
        groups: np.ndarray,
        trained: Mapping[str, int],
    ) -> None:
        """Adds the rows of one cell of the population that was resampled last.

        Args:
            population: the role.
            place: what says which cell it is.
            cell: column of the scores -> array (queries,), by row.
            groups: int64 (queries,), the group of each.
            trained: side -> number of queries of its training role.
        """
        number = len(cell["row"])
        for name, own in CHOOSERS[population].items():
            other = "b" if own == "a" else "a"
            for sort in SORTS:
                order = gaps.top_order(
                    sort, cell[f"correct_{own}"], cell[f"correct_{other}"], cell[f"nearest_{own}"], cell["row"]
                )
                gap = cell["recall_a"] - cell["recall_b"]
                # to go through every order for each resample takes longer than all else, so the other queries have none
                drawn = _Resampled(self._weights, groups[order], gap[order]) if place["query"] == CAPTION else None
                for unit, size, share in self._asked(number, trained[own]):
                    where = {"population": name, **place, "sort": sort, "unit": unit, "l": size}
                    first = order[: max(1, math.floor(share * number + gaps.ROUNDING))]
                    self._rows.append(
                        where | _gaps_of(cell, first) | {"drawn": drawn.first(share) if drawn else np.zeros(0)}
                    )

    def _asked(self, number: int, trained: int) -> Iterator[tuple[str, float, float]]:
        """(unit, L, share of the queries) of everything that is asked."""
        if not number:
            return
        for count in self._counts:
            if count <= trained:
                yield "count", float(count), round(count * number / trained) / number
        for fraction in self._fractions:
            yield "fraction", fraction, fraction

    def rows(self) -> list[dict[str, Any]]:
        """All rows, with the derived populations, and without the half that only ``holdout_symmetric`` needs."""
        found = [row for row in self._rows if row["population"] != SYMMETRIC["holdout_symmetric"][1]]
        for name, (first, second) in SYMMETRIC.items():
            found += self._halved(first, second, name)
        return [_with_interval(row) for row in found]

    def _halved(self, first: str, second: str, name: str) -> Iterator[dict[str, Any]]:
        def key(row: Mapping) -> tuple:
            return tuple(row[k] for k in row if k not in ("population", "drawn", *GAPS))

        others = {key(row): row for row in self._rows if row["population"] == second}
        for one in self._rows:
            other = others.get(key(one))
            if one["population"] == first and other is not None:
                halves = {metric: (one[metric] - other[metric]) / 2 for metric in (*GAPS, "drawn")}
                yield {**one, "population": name, **halves}


class _Resampled:
    """The queries of resamples in one order, by how often each is drawn; what is asked of them are first shares."""

    def __init__(self, weights: np.ndarray, groups: np.ndarray, gap: np.ndarray) -> None:
        drawn = weights[:, groups].astype(np.float32)
        self._number = np.cumsum(drawn, axis=1)
        self._sum = np.cumsum(drawn * gap.astype(np.float32), axis=1)

    def first(self, share: float) -> np.ndarray:
        """float64 (draws,): the mean gap of the first share of every resample, of one query at least."""
        wanted = np.maximum(1, np.floor(share * self._number[:, -1:] + gaps.ROUNDING))
        last = np.minimum((self._number < wanted).sum(axis=1), self._number.shape[1] - 1)
        at = np.arange(len(last)), last
        return np.divide(self._sum[at], self._number[at], out=np.zeros(len(last)), where=self._number[at] > 0)


def _with_interval(row: dict[str, Any]) -> dict[str, Any]:
    low, high = np.percentile(row["drawn"], [2.5, 97.5]) if len(row["drawn"]) else (None, None)
    return {k: v for k, v in row.items() if k != "drawn"} | {"recall_gap_low": low, "recall_gap_high": high}


def _gaps_of(cell: Mapping[str, np.ndarray], taken: np.ndarray) -> dict[str, float]:
    mean = {
        f"{name}_{side}": float(cell[f"{name}_{side}"][taken].mean())
        for name in ("precision", "recall", "f1")
        for side in "ab"
    }
    of_means = {side: gaps.f1_of_means(mean[f"precision_{side}"], mean[f"recall_{side}"]) for side in "ab"}
    return {
        "precision_gap": mean["precision_a"] - mean["precision_b"],
        "recall_gap": mean["recall_a"] - mean["recall_b"],
        "f1_gap": of_means["a"] - of_means["b"],
        "mean_f1_gap": mean["f1_a"] - mean["f1_b"],
    }
