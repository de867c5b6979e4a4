"""Where memory comes from: the gap by what training samples are like, and whether it changes along that."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from dejavu.measurement.contrasts import source_of_chance
from dejavu.memorization import gaps
from dejavu.memorization.permutation import joint_test

COPIES, RAREST, WORDS, NEAREST = SOURCES = ("copies", "rarest object", "caption words", "nearest public")
# bins of about equal size; the copies have bins of their own, since most samples have one
BINS = 5
# the first number of copies of each bin
COPY_BINS = (1, 2, 3, 5, 9)
ROLES = ("a", "b", "holdout")


@dataclass(frozen=True)
class Origins:
    """What samples are like, and what one pair of models shows of them; all arrays are of the same samples.

    Attributes:
        role: str (n,): a, b or holdout.
        group: int64 (n,), number of the sample's duplicate group; the groups of two roles have different numbers.
        sources: name of :data:`SOURCES` -> float64 (n,), NaN where it is not known.
        gaps: statistic -> float64 (n,), score under side a minus score under side b; NaN where there is none.
    """

    role: np.ndarray
    group: np.ndarray
    sources: Mapping[str, np.ndarray]
    gaps: Mapping[str, np.ndarray]

    def of_role(self, role: str) -> tuple[np.ndarray, np.ndarray, int]:
        """Return which samples have a role, int64 (m,), the number of each one's group, and how many groups it has."""
        chosen = np.flatnonzero(self.role == role)
        names, numbers = np.unique(self.group[chosen], return_inverse=True)
        return chosen, numbers.reshape(-1), len(names)


@dataclass(frozen=True)
class _Bin:
    """The samples with some values of a source, and what a statistic says of them."""

    statistic: str
    source: str
    number: int
    low: float
    high: float
    inside: np.ndarray


def source_rows(origins: Origins, draws: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of the table ``memory_sources`` that belong to one model.

    Args:
        origins: the samples.
        draws: bootstrap draws of whole groups.
        seed: of the draws.
    """
    cells = [
        _Bin(statistic, source, *of_bin[:3], of_bin[3] & ~np.isnan(gap))
        for source in SOURCES
        for of_bin in _bins(origins.sources[source], COPY_BINS if source == COPIES else None)
        for statistic, gap in origins.gaps.items()
    ]
    values = {role: _by_bin(origins, cells, role) for role in ROLES}
    drawn = {
        role: gaps.bootstrap(of_role, draws, source_of_chance(seed, "sources", role))
        for role, of_role in values.items()
        if of_role.number
    }
    if len(drawn) < len(ROLES):
        return
    value = (values["a"].value - values["b"].value) / 2
    ends = gaps.interval((drawn["a"] - drawn["b"]) / 2), gaps.interval(drawn["holdout"])
    for at, cell in enumerate(cells):
        n, groups = (sum(getattr(values[side].totals, name)[at] for side in "ab") for name in ("sizes", "groups"))
        control = values["holdout"]
        numbers = {"n": n, "groups": groups, "control_n": control.totals.sizes[at]}
        numbers["control_groups"] = control.totals.groups[at]
        measured = {
            "low": cell.low,
            "high": cell.high,
            "value": value[at],
            "ci_low": ends[0][0][at],
            "ci_high": ends[0][1][at],
            "value_a": values["a"].value[at],
            "value_b": values["b"].value[at],
            "control": control.value[at],
            "control_low": ends[1][0][at],
            "control_high": ends[1][1][at],
        }
        yield {
            "statistic": cell.statistic,
            "source": cell.source,
            "bin": cell.number,
            **{name: int(number) for name, number in numbers.items()},
            **{name: _finite(number) for name, number in measured.items()},
        }


def _bins(values: np.ndarray, firsts: Sequence[float] | None) -> Iterator[tuple[int, float, float, np.ndarray]]:
    """Yield number, smallest value, largest value and bool (n,) of every bin that has samples.

    Args:
        values: float64 (n,), NaN where not known.
        firsts: the smallest value of each bin; None for bins of about equal size, of which equal values share one.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return
    if firsts is None:
        firsts = np.unique(np.quantile(known, np.arange(BINS) / BINS, method="higher")).tolist()
    place = np.searchsorted(firsts, values, side="right")
    number = 0
    for at in range(1, len(firsts) + 1):
        inside = (place == at) & ~np.isnan(values)
        if inside.any():
            number += 1
            yield number, float(values[inside].min()), float(values[inside].max()), inside


def _by_bin(origins: Origins, cells: Sequence[_Bin], role: str) -> gaps.Values:
    """Return the gaps of a role summed by group, with a column for each bin."""
    chosen, group, number = origins.of_role(role)
    sums, sizes = np.zeros((2, number, len(cells)))
    for at, cell in enumerate(cells):
        inside = cell.inside[chosen]
        of_inside = group[inside]
        sizes[:, at] = np.bincount(of_inside, minlength=number)
        gap = origins.gaps[cell.statistic][chosen][inside]
        sums[:, at] = np.bincount(of_inside, weights=gap, minlength=number)
    return gaps.Values(sums, sizes)


def trend_rows(origins: Origins, draws: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of the table ``memory_trends`` that belong to one model.

    The trend is the slope of the symmetric gap on the rank of the source, scaled to run from 0 to 1: the change from
    the lowest to the highest rank if it were even. Without a trend, but with any memory that all samples have alike,
    roles are exchangeable once that memory is taken out of the gaps, so permuting the roles of whole groups says how
    large a slope chance makes (Freedman and Lane 1983). What the sides differ in along the source is in both roles and
    cancels.

    Args:
        origins: the samples.
        draws: permutations, and bootstrap draws.
        seed: of both.
    """
    cells = list(itertools.product(origins.gaps, SOURCES))
    signs = np.where(origins.role == "a", 1.0, np.where(origins.role == "b", -1.0, 0.0))
    found = _trends(origins, cells, signs, draws, seed, "trend")
    placebo = _trends(origins, cells, _halves(origins, seed), draws, seed, "placebo trend", with_interval=False)
    for at, (statistic, source) in enumerate(cells):
        if found is None or not found["groups"][at] or math.isnan(found["p_joint"][at]):
            continue
        columns = ("trend", "ci_low", "ci_high", "p_value", "p_joint")
        yield {
            "statistic": statistic,
            "source": source,
            **{name: _finite(found[name][at]) for name in columns},
            "placebo": None if placebo is None else _finite(placebo["trend"][at]),
            "placebo_p_value": None if placebo is None else _finite(placebo["p_value"][at]),
            "n": int(found["n"][at]),
            "groups": int(found["groups"][at]),
        }


def _halves(origins: Origins, seed: int) -> np.ndarray:
    """Return 1 or -1 for the samples of the holdout, by group, and 0 for all others; float64 (n,)."""
    chosen, group, number = origins.of_role("holdout")
    of_groups = np.where(np.arange(number) < number // 2, 1.0, -1.0)
    source_of_chance(seed, "sources", "halves").shuffle(of_groups)
    signs = np.zeros(len(origins.role))
    signs[chosen] = of_groups[group]
    return signs


def _trends(
    origins: Origins,
    cells: Sequence[tuple[str, str]],
    signs: np.ndarray,
    draws: int,
    seed: int,
    name: str,
    *,
    with_interval: bool = True,
) -> dict[str, np.ndarray] | None:
    """Return the trends of all cells, each array (cells,); None where a side has no samples.

    Args:
        origins, cells, draws, seed: as above.
        signs: float64 (n,), 1 for the samples of side a, -1 for those of side b, 0 for those left out.
        name: of the permutations and draws.
        with_interval: whether ``ci_low`` and ``ci_high`` are wanted.
    """
    parts: list[gaps.Values] = []
    influence = [_influence(origins.gaps[s], origins.sources[x], signs) for s, x in cells]
    for sign in (1, -1):
        chosen = np.flatnonzero(signs == sign)
        if not len(chosen):
            return None
        _, group = np.unique(origins.group[chosen], return_inverse=True)
        group = group.reshape(-1)
        known = [~np.isnan(of_cell[chosen]) for of_cell in influence]
        sums = [np.bincount(group, np.nan_to_num(of_cell[chosen]), group.max() + 1) for of_cell in influence]
        sizes = np.column_stack([np.bincount(group, is_known, group.max() + 1) for is_known in known])
        both = np.column_stack(sums)
        parts.append(gaps.Values(np.hstack([both, -both]), np.hstack([sizes, sizes])))
    first, second = parts
    number = len(cells)
    # a column and its negative: the larger t of the two is two-sided
    family = np.ones(2 * number, dtype=bool)
    test = joint_test(first, second, family, draws, source_of_chance(seed, "sources", name))
    found = {
        "trend": test.value[:number],
        "p_value": test.p_value[:number],
        "p_joint": np.fmin(test.p_joint[:number], test.p_joint[number:]),
        "n": (first.totals.sizes + second.totals.sizes)[:number],
        "groups": (first.totals.groups + second.totals.groups)[:number],
    }
    if with_interval:
        drawn = [
            gaps.bootstrap(part, draws, source_of_chance(seed, "sources", name, side))
            for part, side in zip(parts, "ab", strict=True)
        ]
        low, high = gaps.interval((drawn[0] - drawn[1])[:, :number] / 2)
        found |= {"ci_low": low, "ci_high": high}
    return found


def _influence(gap: np.ndarray, source: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Return what every sample adds to the slope of the symmetric gap, float64 (n,); NaN for those that add nothing.

    Half the difference between its means over the two sides is the slope. The gap is taken without the mean symmetric
    gap and without its straight line over both sides, which is the sides' difference.
    """
    influence = np.full(len(gap), np.nan)
    used = ~np.isnan(gap) & ~np.isnan(source) & (signs != 0)
    sides = [used & (signs == sign) for sign in (1, -1)]
    if not all(side.any() for side in sides):
        return influence
    rank = (rankdata(source[used]) - 0.5) / used.sum()
    centred = rank - rank.mean()
    variance = float((centred**2).mean())
    if variance == 0:
        return influence
    memory = (gap[sides[0]].mean() - gap[sides[1]].mean()) / 2
    rest = gap[used] - signs[used] * memory
    rest = rest - rest.mean()
    rest -= centred * float((centred * rest).mean()) / variance
    influence[used] = centred * rest / variance
    return influence


def _finite(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None
