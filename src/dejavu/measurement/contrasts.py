"""What is derived from the gaps on roles: the differences between two of them, resampled and tested."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dejavu.measurement.groups import Drawing
from dejavu.measurement.options import Statistics
from dejavu.measurement.stored_values import StoredValues
from dejavu.memorization import gaps
from dejavu.memorization.metrics import KEYS, TESTED
from dejavu.memorization.permutation import JointTest, joint_test

HALVES = ("first half of the holdout", "second half of the holdout")


@dataclass(frozen=True)
class Contrast:
    """A difference between the gaps on two populations.

    Attributes:
        first, second: the populations.
        scale: of the difference.
        one_model: whether it says something in a one-model test, whose side b was trained on nothing; and
            ``two_models``, in a test of two models.
    """

    first: str
    second: str
    scale: float
    one_model: bool = True
    two_models: bool = True


# what is derived from the gaps on roles: the symmetric gap; what each side remembers; what two halves of a role that
# nobody was trained on make of the symmetric gap; and the control of a one-model test, where a has seen neither role
CONTRASTS = {
    "symmetric": Contrast("a", "b", 0.5),
    "memory_a": Contrast("a", "holdout", 1.0),
    "memory_b": Contrast("holdout", "b", 1.0, one_model=False),
    "placebo": Contrast(*HALVES, 0.5),
    "unseen": Contrast("b", "holdout", 0.5, two_models=False),
}


@dataclass(frozen=True)
class Resampled:
    """One population's metrics; columns are the cells in order, each with all metrics.

    Attributes:
        values: the per-query values, summed by duplicate group.
        group_sizes: int64 (groups,), how many samples of the dataset are in each group, whatever their role; None where
            chance has drawn the roles.
        sampled: float64 (samplings, columns), metrics of random subsets.
        drawn: float64 (draws, columns), metrics of bootstrap resamples.
    """

    values: StoredValues
    group_sizes: np.ndarray | None
    sampled: np.ndarray
    drawn: np.ndarray

    @classmethod
    def of(cls, values: StoredValues, group_sizes: np.ndarray | None, statistics: Statistics, name: str) -> Resampled:
        """Draw the resamples of a population."""
        return cls(
            values,
            group_sizes,
            gaps.samplings(
                values, statistics.samplings, statistics.fraction, source_of_chance(statistics.seed, name, "samplings")
            ),
            gaps.bootstrap(values, statistics.bootstrap, source_of_chance(statistics.seed, name, "bootstrap")),
        )

    def half(self, chosen: np.ndarray, statistics: Statistics, name: str) -> Resampled:
        """Return some of the groups, int (n,), ascending, as a population of their own."""
        sizes = None if self.group_sizes is None else self.group_sizes[chosen]
        return self.of(self.values.part(chosen), sizes, statistics, name)


def halves(holdout: Resampled, statistics: Statistics) -> dict[str, Resampled]:
    """Return the holdout's groups in two halves, drawn by chance."""
    groups = np.arange(holdout.values.number, dtype=np.int32)
    source_of_chance(statistics.seed, "holdout", "halves").shuffle(groups)
    middle = len(groups) // 2
    parts = [np.sort(chosen) for chosen in (groups[:middle], groups[middle:])]
    del groups
    return {name: holdout.half(chosen, statistics, name) for name, chosen in zip(HALVES, parts, strict=True)}


def tested(
    found: Mapping[str, Resampled],
    contrast: Contrast,
    statistics: Statistics,
    drawings: Mapping[str, Drawing],
    name: str,
) -> JointTest | None:
    """Return the permutation test of a contrast; None where the two roles may differ in more than training."""
    first, second = found[contrast.first], found[contrast.second]
    strata = None
    if drawings and contrast.first not in HALVES:
        one, other = drawings[contrast.first], drawings[contrast.second]
        if one.dataset != other.dataset:
            return None
        if one.listed or other.listed:
            assert first.group_sizes is not None and second.group_sizes is not None
            strata = first.group_sizes, second.group_sizes
    family = np.tile([key in TESTED for key in KEYS], len(first.values.value) // len(KEYS))
    rng = source_of_chance(statistics.seed, name, "permutations")
    return joint_test(
        first.values, second.values, family, statistics.bootstrap, rng, scale=contrast.scale, strata=strata
    )


def source_of_chance(seed: int, *names: str) -> np.random.Generator:
    """Return a source of its own for each use, so that models of one split share their resamples."""
    digest = hashlib.blake2b("\0".join(names).encode(), digest_size=4).digest()
    return np.random.default_rng([seed, int.from_bytes(digest, "big")])
