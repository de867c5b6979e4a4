"""From per-sample scores to what can be said of a population: gaps, top-L gaps and recall curves of one model."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.errors import InputError
from dejavu.files import damaged, read_table, write_table
from dejavu.memorization import gaps
from dejavu.progress import Progress
from dejavu.tables.fields import SIDES
from dejavu.tables.populations import BOOTSTRAP_DRAWS, METRICS, POPULATION_GAPS, RECALL_CURVES, TOP_L

SORTS = ("nearest", "correct", "gap")
# half the difference between the gaps on two populations; the second is the null of a one-model test, where side a was
# trained on role a alone, and has seen neither of the two
DERIVED = {"symmetric": ("a", "b")}
ONE_MODEL = {"unseen": ("b", "holdout")}
CHOSEN_BY_B = "holdout chosen by b"
Key = tuple[int, str, str]


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
class Resampled:
    """One population's metrics; columns are the cells in order, each with all metrics.

    Attributes:
        values: the per-query values, summed by duplicate group.
        sampled: float64 (samplings, columns), metrics of random subsets.
        drawn: float64 (draws, columns), metrics of bootstrap resamples.
    """

    values: gaps.Values
    sampled: np.ndarray
    drawn: np.ndarray


def summarize(
    scores: Mapping[str, Path],
    manifests: Mapping[str, Path],
    outputs: Mapping[str, Path],
    *,
    statistics: Statistics,
    one_model: bool = False,
    title: str,
) -> None:
    """Writes the population tables of one model.

    Args:
        scores: population (``a``, ``b``, ``holdout``) -> its per-sample scores.
        manifests: population -> its manifest, for the duplicate groups.
        outputs: parquet files to write: population_gaps, bootstrap_draws, top_l and recall_curves.
        statistics: how many draws, and which top-L.
        one_model: whether side b is a text encoder; the population ``unseen`` is then written as well.
        title: for the progress lines.

    Raises:
        InputError: when scores name queries that are not in the manifest.
    """
    keys = _common_keys(scores.values())
    progress = Progress(title, len(scores) * (len(keys) + 1), "steps")
    numbers = {side: _numbers(scores[side]) for side in SIDES}
    top: list[dict] = []
    curves: list[dict] = []
    resampled = {}
    for population, path in scores.items():
        values = _values(path, manifests[population], keys, population, statistics, numbers, top, curves, progress)
        resampled[population] = Resampled(
            values,
            gaps.samplings(
                values, statistics.samplings, statistics.fraction, _rng(statistics.seed, population, "samplings")
            ),
            gaps.bootstrap(values, statistics.bootstrap, _rng(statistics.seed, population, "bootstrap")),
        )
        progress.advance(1)
    derived = DERIVED | (ONE_MODEL if one_model else {})
    gap_rows = list(_gap_rows(resampled, derived, keys, statistics))
    write_table(outputs["population_gaps"], pa.Table.from_pylist(gap_rows, schema=POPULATION_GAPS), POPULATION_GAPS)
    write_table(outputs["bootstrap_draws"], _draws(resampled, derived, keys), BOOTSTRAP_DRAWS)
    write_table(outputs["top_l"], pa.Table.from_pylist(_with_symmetric(top), schema=TOP_L), TOP_L)
    write_table(outputs["recall_curves"], pa.Table.from_pylist(curves, schema=RECALL_CURVES), RECALL_CURVES)
    progress.finish()


def _common_keys(paths: Iterable[Path]) -> list[Key]:
    """The cells (k, labels, scope) that every population has: where one has none in scope, nothing can be compared."""
    found = []
    for path in paths:
        keys = read_table(path, ["k", "labels", "scope"]).group_by(["k", "labels", "scope"], use_threads=False)
        found.append([tuple(key.values()) for key in keys.aggregate([]).to_pylist()])
    shared = [key for key in found[0] if all(key in others for others in found[1:])]
    return sorted(shared, key=lambda key: (key[0], key[1] == "all", key[1].zfill(9), key[2]))


def _numbers(path: Path) -> dict[Key, int]:
    """The number of queries of every cell."""
    found = read_table(path, ["k", "labels", "scope"]).group_by(["k", "labels", "scope"], use_threads=False)
    rows = found.aggregate([([], "count_all")]).to_pylist()
    return {(row["k"], row["labels"], row["scope"]): row["count_all"] for row in rows}


def _cell(path: Path, key: Key) -> dict[str, np.ndarray]:
    """The scores of one cell by ascending row: column name -> array (queries,)."""
    k, labels, scope = key
    chosen = [("k", "==", k), ("labels", "==", labels), ("scope", "==", scope)]
    try:
        table = pq.read_table(path, filters=chosen, partitioning=None).sort_by("row")
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged(path, error) from error
    return {name: table[name].to_numpy() for name in table.column_names if name not in ("k", "labels", "scope")}


def _values(
    path: Path,
    manifest: Path,
    keys: Sequence[Key],
    population: str,
    statistics: Statistics,
    numbers: Mapping[str, Mapping[Key, int]],
    top: list[dict],
    curves: list[dict],
    progress: Progress,
) -> gaps.Values:
    """All metrics of all cells side by side, summed by duplicate group; adds what needs single queries on the way."""
    table = read_table(manifest, ["row", "group_id"]).sort_by("row")
    rows = table["row"].to_numpy()
    groups = np.unique(np.asarray(table["group_id"].to_pylist()), return_inverse=True)[1]
    number = int(groups.max()) + 1 if len(groups) else 0
    sums = np.zeros((number, len(keys) * len(METRICS)))
    sizes = np.zeros_like(sums)
    for i, key in enumerate(keys):
        cell = _cell(path, key)
        where = np.minimum(np.searchsorted(rows, cell["row"]), len(rows) - 1)
        if not np.array_equal(rows[where], cell["row"]):
            raise InputError(
                f"scores name queries that are not in {manifest}: one of them comes from another run. "
                "Delete the scores and run again."
            )
        here = slice(i * len(METRICS), (i + 1) * len(METRICS))
        found = gaps.by_group(
            gaps.query_values(cell["precision_a"], cell["precision_b"], cell["recall_a"], cell["recall_b"]),
            groups[where],
            number,
        )
        sums[:, here], sizes[:, here] = found.sums, found.sizes
        top.extend(_top_rows(population, key, cell, statistics, {side: numbers[side][key] for side in SIDES}))
        curves.extend(_curve_rows(population, key, cell))
        progress.advance(1)
    # groups that are in no cell are left out of every resample
    kept = sizes.any(axis=1)
    return gaps.Values(sums[kept], sizes[kept])


def _gap_rows(
    found: Mapping[str, Resampled], derived: Mapping[str, tuple[str, str]], keys: Sequence[Key], statistics: Statistics
) -> Iterator[dict]:
    draws, seed = statistics.bootstrap, statistics.seed
    for population, r in found.items():
        p = gaps.sign_flip_p_value(r.values, draws, _rng(seed, population, "sign flips"))
        yield from _rows_of(population, keys, r.values.value, r.sampled, r.drawn, p, r.values.count)
    for name, (first, second) in derived.items():
        one, other = found[first], found[second]
        yield from _rows_of(
            name,
            keys,
            (one.values.value - other.values.value) / 2,
            (one.sampled - other.sampled) / 2,
            (one.drawn - other.drawn) / 2,
            gaps.permutation_p_value(one.values, other.values, draws, _rng(seed, name, "permutations")),
            one.values.count + other.values.count,
        )


def _rows_of(
    population: str,
    keys: Sequence[Key],
    value: np.ndarray,
    sampled: np.ndarray,
    drawn: np.ndarray,
    p_value: np.ndarray,
    count: np.ndarray,
) -> Iterator[dict]:
    low, high = gaps.interval(drawn)
    mean, std = sampled.mean(axis=0), sampled.std(axis=0, ddof=1) if len(sampled) > 1 else np.zeros_like(value)
    columns = {"value": value, "mean": mean, "std": std, "ci_low": low, "ci_high": high, "p_value": p_value}
    for at, (key, metric) in enumerate(itertools.product(keys, METRICS)):
        numbers = {name: _finite(array[at]) for name, array in columns.items()}
        yield {"population": population, **_named(key), "metric": metric, **numbers, "n": int(count[at])}


def _draws(
    found: Mapping[str, Resampled], derived: Mapping[str, tuple[str, str]], keys: Sequence[Key]
) -> Iterator[pa.Table]:
    """The resampled metrics as rows, one table for each population and cell."""
    drawn = {population: r.drawn for population, r in found.items()}
    drawn |= {name: (drawn[first] - drawn[second]) / 2 for name, (first, second) in derived.items()}
    for population, values in drawn.items():
        number = len(values)
        for at, (key, metric) in enumerate(itertools.product(keys, METRICS)):
            constants = {"population": population, **_named(key), "metric": metric}
            columns = {name: pa.repeat(pa.scalar(value), number) for name, value in constants.items()}
            columns["draw"] = pa.array(np.arange(number, dtype=np.int32))
            columns["value"] = pa.array(values[:, at].astype(np.float32), from_pandas=True)
            yield pa.table({name: columns[name].cast(BOOTSTRAP_DRAWS.field(name).type) for name in columns})


def _top_rows(
    population: str, key: Key, cell: dict[str, np.ndarray], statistics: Statistics, trained: Mapping[str, int]
) -> Iterator[dict]:
    """The first queries in each order, chosen under the side that was trained on the population.

    Nobody was trained on the holdout, so there side a chooses; ``holdout_symmetric`` has side b choose as well and
    halves the difference, which is what ``symmetric`` does with the training roles. A count is one of the side's
    training role (``trained``: side -> its number of queries); of the holdout the same share is taken, since what
    choosing makes of noise depends on the share.
    """
    number = len(cell["row"])
    choosers = {"a": {"a": "a"}, "b": {"b": "b"}, "holdout": {"holdout": "a", CHOSEN_BY_B: "b"}}[population]
    for name, own in choosers.items():
        other = "b" if own == "a" else "a"
        for sort in SORTS:
            order = gaps.top_order(
                sort, cell[f"correct_{own}"], cell[f"correct_{other}"], cell[f"nearest_{own}"], cell["row"]
            )
            asked = [("count", float(n), round(n * number / trained[own])) for n in statistics.counts]
            asked = [(unit, size, max(1, first)) for unit, size, first in asked if size <= trained[own] and number]
            asked += [("fraction", f, max(1, math.floor(f * number))) for f in statistics.fractions if number]
            for unit, size, first in asked:
                place = {"population": name, **_named(key), "sort": sort, "unit": unit, "l": size}
                yield place | _top_gaps(cell, order[:first])


def _top_gaps(cell: dict[str, np.ndarray], taken: np.ndarray) -> dict[str, float]:
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


def _with_symmetric(rows: Sequence[dict]) -> list[dict]:
    """The rows with the derived populations added, and without the half that only ``holdout_symmetric`` needs."""
    derived = _halved(rows, "a", "b", "symmetric") + _halved(rows, "holdout", CHOSEN_BY_B, "holdout_symmetric")
    return [row for row in rows if row["population"] != CHOSEN_BY_B] + derived


def _halved(rows: Sequence[dict], first: str, second: str, name: str) -> list[dict]:
    def key(row: dict) -> tuple:
        return tuple(v for k, v in row.items() if k != "population" and not k.endswith("_gap"))

    others = {key(row): row for row in rows if row["population"] == second}
    pairs = [(row, others[key(row)]) for row in rows if row["population"] == first and key(row) in others]
    return [
        {**one, "population": name, **{m: (one[m] - other[m]) / 2 for m in one if m.endswith("_gap")}}
        for one, other in pairs
    ]


def _curve_rows(population: str, key: Key, cell: dict[str, np.ndarray]) -> Iterator[dict]:
    for side in "ab":
        for recall, share in zip(*gaps.at_least(cell[f"recall_{side}"]), strict=True):
            yield {"population": population, **_named(key), "side": side, "recall": recall, "share_at_least": share}


def _named(key: Key) -> dict:
    return dict(zip(("k", "labels", "scope"), key, strict=True))


def _rng(seed: int, *names: str) -> np.random.Generator:
    """A source of its own for each use, so that models of one split share their resamples."""
    digest = hashlib.blake2b("\0".join(names).encode(), digest_size=4).digest()
    return np.random.default_rng([seed, int.from_bytes(digest, "big")])


def _finite(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None
