"""From per-sample scores to what can be said of a population: gaps, top-L gaps and recall curves of one model."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.errors import InputError
from dejavu.files import damaged, write_table
from dejavu.measurement.groups import Groups, group_sizes
from dejavu.measurement.top_l import TopL
from dejavu.memorization import gaps
from dejavu.memorization.permutation import JointTest, effective_groups, joint_test
from dejavu.progress import Progress
from dejavu.tables.fields import SIDES
from dejavu.tables.populations import BOOTSTRAP_DRAWS, METRICS, POPULATION_GAPS, RECALL_CURVES, TESTED, TOP_L
from dejavu.tables.queries import QUERIES, RANDOM

HALVES = ("first half of the holdout", "second half of the holdout")
# populations whose resamples are kept: the gap, and what stands beside it in the report
WITH_DRAWS = ("symmetric", "holdout", "unseen")
CELL = ("query", "k", "labels", "scope")
Key = tuple[str, int, str, str]


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
class Statistics:
    """How the statistics are made; keys of ``measure`` in the configuration, where they are described."""

    samplings: int
    fraction: float
    bootstrap: int
    counts: tuple[int, ...]
    fractions: tuple[float, ...]
    seed: int


@dataclass(frozen=True)
class Drawing:
    """How samples come to have a role.

    Attributes:
        dataset: where they come from.
        listed: whether the user's list says so, or chance.
    """

    dataset: str
    listed: bool


@dataclass(frozen=True)
class Resampled:
    """One population's metrics; columns are the cells in order, each with all metrics.

    Attributes:
        values: the per-query values, summed by duplicate group.
        group_sizes: int64 (groups,), how many samples of the dataset are in each group, whatever their role.
        sampled: float64 (samplings, columns), metrics of random subsets.
        drawn: float64 (draws, columns), metrics of bootstrap resamples.
    """

    values: gaps.Values
    group_sizes: np.ndarray
    sampled: np.ndarray
    drawn: np.ndarray

    @classmethod
    def of(cls, values: gaps.Values, group_sizes: np.ndarray, statistics: Statistics, name: str) -> Resampled:
        """Draws the resamples of a population."""
        return cls(
            values,
            group_sizes,
            gaps.samplings(values, statistics.samplings, statistics.fraction, _rng(statistics.seed, name, "samplings")),
            gaps.bootstrap(values, statistics.bootstrap, _rng(statistics.seed, name, "bootstrap")),
        )

    def half(self, chosen: np.ndarray, statistics: Statistics, name: str) -> Resampled:
        """Some of the groups, as a population of their own."""
        values = gaps.Values(self.values.sums[chosen], self.values.sizes[chosen])
        return self.of(values, self.group_sizes[chosen], statistics, name)


def summarize(
    scores: Mapping[str, Path],
    manifests: Mapping[str, Path],
    outputs: Mapping[str, Path],
    *,
    statistics: Statistics,
    drawings: Mapping[str, Drawing] | None = None,
    duplicates: Sequence[Path] = (),
    one_model: bool = False,
    title: str,
) -> None:
    """Writes the population tables of one model.

    Args:
        scores: population (``a``, ``b``, ``holdout``) -> its per-sample scores.
        manifests: population -> its manifest, for the duplicate groups.
        outputs: parquet files to write: population_gaps, bootstrap_draws, top_l and recall_curves.
        statistics: how many draws, and which top-L.
        drawings: population -> how its samples were chosen; by chance from one dataset where nothing is said. Roles
            of different datasets cannot be permuted, and are not tested; where one of two roles is listed, labels are
            permuted among groups of one size.
        duplicates: tables of the duplicate groups of the roles' datasets, for the sizes of groups.
        one_model: whether side b is a text encoder.
        title: for the progress lines.

    Raises:
        InputError: when scores name queries that are not in the manifest.
    """
    opened = {population: _Scores.of(path) for population, path in scores.items()}
    keys = _common_keys([one.numbers for one in opened.values()])
    progress = Progress(title, len(scores) * (len(keys) + 1), "steps")
    numbers = {side: opened[side].numbers for side in SIDES}
    sizes = group_sizes(duplicates)
    top = TopL(statistics.counts, statistics.fractions)
    curves: list[dict] = []
    found = {}
    for population, one in opened.items():
        groups = Groups.of(manifests[population], sizes)
        top.resample(population, len(groups.sizes), _rng(statistics.seed, population, "top-L"))
        values, kept = _values(one, groups, keys, population, statistics, numbers, top, curves, progress)
        found[population] = Resampled.of(values, groups.sizes[kept], statistics, population)
        progress.advance(1)
    found |= _halves(found["holdout"], statistics)
    contrasts = {
        name: contrast
        for name, contrast in CONTRASTS.items()
        if (contrast.one_model if one_model else contrast.two_models)
    }
    tests = {name: _tested(found, contrast, statistics, drawings, name) for name, contrast in contrasts.items()}
    gap_rows = [*_role_rows(found, keys, statistics), *_contrast_rows(found, contrasts, tests, keys)]
    write_table(outputs["population_gaps"], pa.Table.from_pylist(gap_rows, schema=POPULATION_GAPS), POPULATION_GAPS)
    write_table(outputs["bootstrap_draws"], _draws(found, contrasts, keys), BOOTSTRAP_DRAWS)
    write_table(outputs["top_l"], pa.Table.from_pylist(top.rows(), schema=TOP_L), TOP_L)
    write_table(outputs["recall_curves"], pa.Table.from_pylist(curves, schema=RECALL_CURVES), RECALL_CURVES)
    progress.finish()


def _halves(holdout: Resampled, statistics: Statistics) -> dict[str, Resampled]:
    """The holdout's groups in two halves, drawn by chance."""
    order = _rng(statistics.seed, "holdout", "halves").permutation(len(holdout.values.sums))
    middle = len(order) // 2
    return {
        name: holdout.half(np.sort(chosen), statistics, name)
        for name, chosen in zip(HALVES, (order[:middle], order[middle:]), strict=True)
    }


def _tested(
    found: Mapping[str, Resampled],
    contrast: Contrast,
    statistics: Statistics,
    drawings: Mapping[str, Drawing] | None,
    name: str,
) -> JointTest | None:
    """The permutation test of a contrast; None where the two roles may differ in more than training."""
    first, second = found[contrast.first], found[contrast.second]
    strata = None
    if drawings is not None and contrast.first not in HALVES:
        one, other = drawings[contrast.first], drawings[contrast.second]
        if one.dataset != other.dataset:
            return None
        if one.listed or other.listed:
            strata = first.group_sizes, second.group_sizes
    family = np.tile([metric in TESTED for metric in METRICS], first.values.sums.shape[1] // len(METRICS))
    rng = _rng(statistics.seed, name, "permutations")
    return joint_test(
        first.values, second.values, family, statistics.bootstrap, rng, scale=contrast.scale, strata=strata
    )


def _common_keys(found: Sequence[Mapping[Key, int]]) -> list[Key]:
    """The cells that every population has: where one has none in scope, nothing can be compared."""
    shared = [key for key in found[0] if all(key in others for others in found[1:]) and key[0] != RANDOM]
    return sorted(shared, key=lambda key: (QUERIES.index(key[0]), key[1], key[2] == "all", key[2].zfill(9), key[3]))


@dataclass(frozen=True)
class _Scores:
    """The per-sample scores of a population, read a cell at a time: every row group holds one cell.

    Attributes:
        file: the table, open.
        groups: cell -> its row groups.
        numbers: cell -> number of queries.
    """

    file: pq.ParquetFile
    groups: Mapping[Key, Sequence[int]]
    numbers: Mapping[Key, int]

    @classmethod
    def of(cls, path: Path) -> _Scores:
        """Opens a table of scores.

        Raises:
            InputError: when it is damaged.
        """
        try:
            file = pq.ParquetFile(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise damaged(path, error) from error
        places = [file.schema_arrow.get_field_index(name) for name in CELL]
        groups: dict[Key, list[int]] = {}
        numbers: Counter[Key] = Counter()
        for at in range(file.num_row_groups):
            group = file.metadata.row_group(at)
            if not group.num_rows:
                continue
            ends = [group.column(place).statistics for place in places]
            if any(end.min != end.max for end in ends):
                raise ValueError(f"{path}: a row group holds more than one cell")
            query, k, labels, scope = (end.min for end in ends)
            groups.setdefault((query, k, labels, scope), []).append(at)
            numbers[query, k, labels, scope] += group.num_rows
        return cls(file, groups, numbers)

    def cell(self, key: Key) -> dict[str, np.ndarray]:
        """The scores of one cell by ascending row: column name -> array (queries,)."""
        columns = [name for name in self.file.schema_arrow.names if name not in CELL]
        table = self.file.read_row_groups(self.groups[key], columns).sort_by("row")
        return {name: table[name].to_numpy() for name in columns}


def _values(
    scores: _Scores,
    groups: Groups,
    keys: Sequence[Key],
    population: str,
    statistics: Statistics,
    numbers: Mapping[str, Mapping[Key, int]],
    top: TopL,
    curves: list[dict],
    progress: Progress,
) -> tuple[gaps.Values, np.ndarray]:
    """All metrics of all cells side by side, summed by duplicate group; adds what needs single queries on the way.

    Returns:
        The values, and bool (groups,): which groups they are of. Those that are in no cell are left out.
    """
    rows, number = groups.rows, len(groups.sizes)
    sums = np.zeros((number, len(keys) * len(METRICS)))
    sizes = np.zeros_like(sums)
    for i, key in enumerate(keys):
        cell = scores.cell(key)
        where = np.minimum(np.searchsorted(rows, cell["row"]), len(rows) - 1)
        if not np.array_equal(rows[where], cell["row"]):
            raise InputError(
                f"scores name queries that are not in {groups.manifest}: one of them comes from another run. "
                "Delete the scores and run again."
            )
        here = slice(i * len(METRICS), (i + 1) * len(METRICS))
        found = gaps.by_group(
            gaps.query_values(cell["precision_a"], cell["precision_b"], cell["recall_a"], cell["recall_b"]),
            groups.number[where],
            number,
        )
        sums[:, here], sizes[:, here] = found.sums, found.sizes
        trained = {side: numbers[side][key] for side in SIDES}
        top.add(population, _named(key), cell, groups.number[where], trained)
        curves.extend(_curve_rows(population, key, cell))
        progress.advance(1)
    kept = np.asarray(sizes.any(axis=1))
    return gaps.Values(sums[kept], sizes[kept]), kept


def _role_rows(found: Mapping[str, Resampled], keys: Sequence[Key], statistics: Statistics) -> Iterator[dict]:
    """The gaps on the roles themselves."""
    for population, r in found.items():
        if population in HALVES:
            continue
        p = gaps.sign_flip_p_value(r.values, statistics.bootstrap, _rng(statistics.seed, population, "sign flips"))
        columns = {
            "value": r.values.value,
            **_spread(r.sampled, r.drawn),
            "p_value": p,
            "n": r.values.count,
            "groups": _groups_in_scope(r.values),
            "effective_groups": effective_groups(r.values),
        }
        yield from _rows_of(population, keys, columns)


def _contrast_rows(
    found: Mapping[str, Resampled],
    contrasts: Mapping[str, Contrast],
    tests: Mapping[str, JointTest | None],
    keys: Sequence[Key],
) -> Iterator[dict]:
    """The differences between the gaps on two roles, with what permutations say of them."""
    for name, contrast in contrasts.items():
        one, other, test = found[contrast.first], found[contrast.second], tests[name]
        columns = {
            "value": contrast.scale * (one.values.value - other.values.value),
            **_spread(contrast.scale * (one.sampled - other.sampled), contrast.scale * (one.drawn - other.drawn)),
            "n": one.values.count + other.values.count,
            "groups": _groups_in_scope(one.values) + _groups_in_scope(other.values),
            "effective_groups": np.minimum(effective_groups(one.values), effective_groups(other.values)),
        }
        if test is not None:
            columns |= {
                "p_value": test.p_value,
                "p_joint": test.p_joint,
                "expected": test.expected,
                "detectable": test.detectable,
            }
        yield from _rows_of(name, keys, columns)


def _spread(sampled: np.ndarray, drawn: np.ndarray) -> dict[str, np.ndarray]:
    """Mean and standard deviation of the samplings, and the interval of the bootstrap; each float64 (columns,)."""
    low, high = gaps.interval(drawn)
    std = sampled.std(axis=0, ddof=1) if len(sampled) > 1 else np.zeros(sampled.shape[1])
    return {"mean": sampled.mean(axis=0), "std": std, "ci_low": low, "ci_high": high}


def _groups_in_scope(values: gaps.Values) -> np.ndarray:
    return (values.sizes > 0).sum(axis=0)


def _rows_of(population: str, keys: Sequence[Key], columns: Mapping[str, np.ndarray]) -> Iterator[dict]:
    for at, (key, metric) in enumerate(itertools.product(keys, METRICS)):
        numbers = {
            name: int(array[at]) if array.dtype.kind == "i" else _finite(array[at]) for name, array in columns.items()
        }
        yield {"population": population, **_named(key), "metric": metric, **numbers}


def _draws(
    found: Mapping[str, Resampled], contrasts: Mapping[str, Contrast], keys: Sequence[Key]
) -> Iterator[pa.Table]:
    """The resampled metrics as rows, one table for each population and cell."""
    drawn = {population: r.drawn for population, r in found.items()}
    drawn |= {name: c.scale * (drawn[c.first] - drawn[c.second]) for name, c in contrasts.items()}
    for population in (name for name in WITH_DRAWS if name in drawn):
        values = drawn[population]
        for at, (key, metric) in enumerate(itertools.product(keys, METRICS)):
            if metric not in TESTED:
                continue
            constants = {"population": population, **_named(key), "metric": metric}
            columns = {name: pa.repeat(pa.scalar(value), len(values)) for name, value in constants.items()}
            columns["draw"] = pa.array(np.arange(len(values), dtype=np.int32))
            columns["value"] = pa.array(values[:, at].astype(np.float32), from_pandas=True)
            yield pa.table({name: columns[name].cast(BOOTSTRAP_DRAWS.field(name).type) for name in columns})


def _curve_rows(population: str, key: Key, cell: dict[str, np.ndarray]) -> Iterator[dict]:
    for side in "ab":
        for recall, share in zip(*gaps.at_least(cell[f"recall_{side}"]), strict=True):
            yield {"population": population, **_named(key), "side": side, "recall": recall, "share_at_least": share}


def _named(key: Key) -> dict:
    return dict(zip(CELL, key, strict=True))


def _rng(seed: int, *names: str) -> np.random.Generator:
    """A source of its own for each use, so that models of one split share their resamples."""
    digest = hashlib.blake2b("\0".join(names).encode(), digest_size=4).digest()
    return np.random.default_rng([seed, int.from_bytes(digest, "big")])


def _finite(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None
