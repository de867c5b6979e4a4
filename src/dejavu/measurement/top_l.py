"""Gaps of the queries that come first in an order, beside what choosing in the same way makes of the holdout."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dejavu.measurement.stored_weights import HeldWeights, Weights, drawn_weights
from dejavu.memorization import gaps
from dejavu.tables.fields import SIDES
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
        folder: for the resamples of populations of more groups than one block holds; it is the caller's to remove.
    """

    def __init__(self, counts: Sequence[int], fractions: Sequence[float], folder: Path | None = None) -> None:
        self._counts, self._fractions, self._folder = counts, fractions, folder
        self._weights: Weights = HeldWeights(np.zeros((0, 0)))
        self._rows: list[dict[str, Any]] = []

    def resample(self, population: str, groups: int, rng: np.random.Generator) -> None:
        """Draw how often each duplicate group of a population is in every resample."""
        self._weights = drawn_weights(groups, DRAWS, rng, self._folder and self._folder / f"weights of {population}")

    def add(
        self,
        population: str,
        place: Mapping[str, Any],
        cell: Mapping[str, np.ndarray],
        groups: np.ndarray,
        trained: Mapping[str, int],
    ) -> None:
        """Add the rows of one cell of the population that was resampled last.

        Args:
            population: the role.
            place: what says which cell it is.
            cell: column of the scores -> array (queries,), by row.
            groups: int (queries,), the group of each.
            trained: side -> number of queries of its training role.
        """
        number = len(cell["row"])
        asked = {name: list(self._asked(number, trained[own])) for name, own in CHOOSERS[population].items()}
        shares = {(name, sort): [share for _, _, share in asked[name]] for name in asked for sort in SORTS}
        ranking = _Ranking.of(cell, CHOOSERS[population])
        firsts = []
        for key, of_order in shares.items():
            taken = [_taken(share, number) for share in of_order]
            order = ranking.first(key, max(taken, default=0))
            firsts += [order[:count] for count in taken]
        gaps_of_rows = _gaps_of(cell, firsts)
        del firsts
        # to go through every order for each resample takes longer than all else, so the other queries have no interval
        drawn = _resampled(ranking, cell, groups, shares, self._weights) if place["query"] == CAPTION else {}
        rows = (
            ({"population": name, **place, "sort": sort, "unit": unit, "l": size}, drawn.get((name, sort), {}), share)
            for name, sort in shares
            for unit, size, share in asked[name]
        )
        for (row, means, share), of_row in zip(rows, gaps_of_rows, strict=True):
            self._rows.append(row | of_row | {"drawn": means.get(share, np.zeros(0))})

    def _asked(self, number: int, trained: int) -> Iterator[tuple[str, float, float]]:
        """Yield (unit, L, share of the queries) of everything that is asked."""
        if not number:
            return
        for count in self._counts:
            if count <= trained:
                yield "count", float(count), round(count * number / trained) / number
        for fraction in self._fractions:
            yield "fraction", fraction, fraction

    def rows(self) -> list[dict[str, Any]]:
        """Return all rows, with the derived populations, and without the half that only ``holdout_symmetric`` needs."""
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


@dataclass(frozen=True)
class _Ranking:
    """What the queries of a cell are put in order by.

    Attributes:
        columns: the columns of the scores that orders depend on.
        rows: int64 (queries,), ascending.
        choosers: population of the rows -> the side that chooses.
    """

    columns: Mapping[str, np.ndarray]
    rows: np.ndarray
    choosers: Mapping[str, str]

    @classmethod
    def of(cls, cell: Mapping[str, np.ndarray], choosers: Mapping[str, str]) -> _Ranking:
        names = [*(f"correct_{side}" for side in SIDES), *(f"nearest_{own}" for own in choosers.values())]
        return cls({name: cell[name] for name in names}, cell["row"], choosers)

    def first(self, key: tuple[str, str], number: int) -> np.ndarray:
        """Return the places of the first queries in the order of a chooser and a sort, int64."""
        name, sort = key
        own = self.choosers[name]
        other = "b" if own == "a" else "a"
        correct, correct_other, nearest = (
            self.columns[column] for column in (f"correct_{own}", f"correct_{other}", f"nearest_{own}")
        )
        return gaps.top_order(sort, correct, correct_other, nearest, self.rows, number)


def _taken(share: float, number: int) -> int:
    return max(1, math.floor(share * number + gaps.ROUNDING))


def _resampled(
    ranking: _Ranking,
    cell: Mapping[str, np.ndarray],
    groups: np.ndarray,
    shares: Mapping[tuple[str, str], Sequence[float]],
    weights: Weights,
) -> dict[tuple[str, str], dict[float, np.ndarray]]:
    """Return, for every order and share, the mean recall gap of the first share of every resample, float64 (draws,).

    Of an order, as many queries are gone through as resamples need: a few more than there are in the scores themselves,
    and twice as many where these do not suffice.
    """
    number = len(groups)
    gap = cell["recall_a"] - cell["recall_b"]
    sizes = weights.sizes_of(groups)
    found: dict[tuple[str, str], dict[float, np.ndarray]] = {}
    left = {key: _with_reserve(_taken(max(of_order), number)) for key, of_order in shares.items() if of_order}
    while left:
        orders = {key: ranking.first(key, length) for key, length in left.items()}
        prefixes = {key: weights.prefix(groups[order], gap[order]) for key, order in orders.items()}
        for key in prefixes:
            found[key] = {share: np.full(len(sizes), np.nan) for share in shares[key]}
        for some, drawn in weights.parts():
            for key, prefix in prefixes.items():
                wanted = [np.maximum(1, np.floor(share * sizes[some] + gaps.ROUNDING)) for share in found[key]]
                means = prefix.means(drawn, wanted, is_all=len(orders[key]) == number)
                for of_share, of_some in zip(found[key].values(), means, strict=True):
                    of_share[some] = of_some
        left = {
            key: 2 * length
            for key, length in left.items()
            if any(np.isnan(means).any() for means in found[key].values())
        }
    return found


def _with_reserve(taken: int) -> int:
    return taken + taken // 16 + 256


def _with_interval(row: dict[str, Any]) -> dict[str, Any]:
    low, high = np.percentile(row["drawn"], [2.5, 97.5]) if len(row["drawn"]) else (None, None)
    return {k: v for k, v in row.items() if k != "drawn"} | {"recall_gap_low": low, "recall_gap_high": high}


def _gaps_of(cell: Mapping[str, np.ndarray], firsts: Sequence[np.ndarray]) -> list[dict[str, float]]:
    """Return the gaps of the queries at each of the given places."""
    means: list[dict[str, float]] = [{} for _ in firsts]
    for name in (f"{score}_{side}" for score in ("precision", "recall", "f1") for side in SIDES):
        column = cell[name]
        for mean, taken in zip(means, firsts, strict=True):
            mean[name] = float(column[taken].mean())
    found = []
    for mean in means:
        f1 = {side: gaps.f1_of_means(mean[f"precision_{side}"], mean[f"recall_{side}"]) for side in SIDES}
        found.append(
            {
                "precision_gap": mean["precision_a"] - mean["precision_b"],
                "recall_gap": mean["recall_a"] - mean["recall_b"],
                "f1_gap": f1["a"] - f1["b"],
                "mean_f1_gap": mean["f1_a"] - mean["f1_b"],
            }
        )
    return found
