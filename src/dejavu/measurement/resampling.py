"""Bootstrap of what models are good for: its resamples are the same for all models and sides of a split.

So the difference between two models is resampled as well: draw i of one minus draw i of the other.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dejavu.tables.evaluation import UTILITY_DRAWS

LEVEL = 0.95
CELLS_PER_BLOCK = 4_000_000


@dataclass(frozen=True)
class Resampling:
    """How often, and from what, is drawn; keys of ``measure`` in the configuration.

    Attributes:
        draws: number of resamples.
        seed: of the draws.
    """

    draws: int
    seed: int

    def means(self, values: np.ndarray, units: np.ndarray, *names: str) -> np.ndarray:
        """Return the means of resamples, drawn with replacement, of whole units.

        Args:
            values: float64 (queries, columns); NaN where a query does not count in a column.
            units: int64 (queries,), from 0, which unit each query belongs to, as its duplicate group.
            names: what is resampled; equal names of equal units give equal resamples.

        Returns:
            float64 (draws, columns); NaN where no query of a resample counts.
        """
        counts = ~np.isnan(values)
        number = int(units.max()) + 1
        sums, sizes = (
            np.column_stack([np.bincount(units, weights=column, minlength=number) for column in part.T])
            for part in (np.where(counts, values, 0.0), counts.astype(float))
        )
        parts = []
        for weights in self._weights(number, names):
            of = weights @ sizes
            parts.append(np.divide(weights @ sums, of, out=np.full(of.shape, np.nan), where=of != 0))
        return np.concatenate(parts)

    def means_of_classes(self, values: np.ndarray, classes: np.ndarray, *names: str) -> np.ndarray:
        """Return the mean over classes of the mean of each, of resamples of single images; as :meth:`means` draws them.

        Args:
            values: float64 (images,).
            classes: int64 (images,), from 0; a class that a resample lacks is left out of its mean.
            names: as for :meth:`means`.

        Returns:
            float64 (draws,).
        """
        found = []
        for weights in self._weights(len(values), names):
            for drawn in weights:
                sizes = np.bincount(classes, weights=drawn)
                sums = np.bincount(classes, weights=drawn * values)
                found.append(float(np.mean(sums[sizes > 0] / sizes[sizes > 0])))
        return np.array(found)

    def _weights(self, number: int, names: Sequence[str]) -> Iterator[np.ndarray]:
        """Yield how often each unit is in each resample, float64 (resamples, units), in blocks."""
        # independent of the model and the side, and of how many draws go into a block
        digest = hashlib.blake2b("\0".join(("utility", *names)).encode(), digest_size=4).digest()
        rng = np.random.default_rng([self.seed, int.from_bytes(digest, "big")])
        block = max(1, CELLS_PER_BLOCK // number)
        for start in range(0, self.draws, block):
            size = min(block, self.draws - start)
            yield rng.multinomial(number, np.full(number, 1 / number), size=size).astype(float)


def interval(share: float, drawn: np.ndarray, units: int) -> tuple[float | None, float | None]:
    """Return the 95 % percentile interval of a share that was resampled.

    Where all queries agree, no resample differs, which is no certainty: there the open end is that of Clopper and
    Pearson (1934), the share at which so many units would all agree with a probability of 2.5 %.

    Args:
        share: the share itself.
        drawn: float64 (draws,), of resamples; NaN is left out.
        units: number of units that were drawn from.
    """
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return None, None
    tail = (1 - LEVEL) / 2
    if share in (0.0, 1.0) and np.ptp(known) == 0:
        bound = tail ** (1 / units)
        return (0.0, 1 - bound) if share == 0 else (bound, 1.0)
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


def shares(task: str, metrics: Sequence[str], hits: np.ndarray, units: np.ndarray, drawn: np.ndarray) -> list[dict]:
    """Return rows of the utility table: one for each column of hits.

    Args:
        task: of all rows.
        metrics: one for each column.
        hits: float64 (queries, columns), 0 or 1; NaN where a query does not count in a column.
        units: int64 (queries,), what was resampled as a whole.
        drawn: float64 (draws, columns), as :meth:`Resampling.means` returns them.

    Returns:
        As well as the columns of the table, ``drawn``: float64 (draws,).
    """
    rows = []
    for metric, column, of in zip(metrics, hits.T, drawn.T, strict=True):
        counted = ~np.isnan(column)
        value = float(column[counted].mean())
        low, high = interval(value, of, len(np.unique(units[counted])))
        row = {"task": task, "metric": metric, "value": value, "n": int(counted.sum())}
        rows.append({**row, "ci_low": low, "ci_high": high, "drawn": of})
    return rows


def draw_tables(rows: Sequence[Mapping[str, Any]]) -> Iterator[pa.Table]:
    """Yield the resamples under ``drawn`` as tables of schema ``UTILITY_DRAWS``, one for each row that has some."""
    for row in rows:
        if row.get("drawn") is None:
            continue
        values = [value if math.isfinite(value) else None for value in row["drawn"].tolist()]
        columns = {
            "task": pa.repeat(row["task"], len(values)),
            "metric": pa.repeat(row["metric"], len(values)),
            "draw": pa.array(range(len(values)), pa.int32()),
            "value": pa.array(values, pa.float32()),
        }
        yield pa.table(columns, schema=UTILITY_DRAWS)
