"""The metrics of a population: for each its name, its meaning, its formula and the source of the formula.

Every metric is the mean of one value per query, which makes resampling a matrix product. The order of :data:`METRICS`
is the order of columns, tables and panels. The database holds this list as the table ``metrics``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

BINS = 100


# the columns of per-sample scores that metrics read, each float64 (queries,); one that is read anew each time is held
# no longer than a metric needs it
Scores = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        key: value in the column ``metric``.
        name: name in figures, tables and sentences.
        meaning: the definition in words.
        source: source of the definition.
        values: precision_a, precision_b, recall_a and recall_b of the queries of one population -> float64 (queries,),
            the values whose mean is the metric.
        is_tested: whether joint tests, bands, figures and tables of the report include it.
    """

    key: str
    name: str
    meaning: str
    source: str
    values: Callable[[Scores], np.ndarray]
    is_tested: bool = True


def binned(recall: np.ndarray) -> np.ndarray:
    """Replace each recall by the right edge of its bin, of 100 bins between the smallest and the largest recall.

    The mean of the edges is the area under the curve as the released code of arXiv 2402.02103 computes it. It
    overestimates the area by up to a hundredth of the range. Where all recalls are 0 (or 1), it is 0.01 (or 1.01).
    """
    if len(recall) == 0:
        return np.zeros(0)
    edges = np.histogram_bin_edges(recall, bins=BINS)
    return edges[np.clip(np.searchsorted(edges, recall, side="right"), 1, BINS)]


METRICS = (
    Metric(
        "ppg",
        "PPG",
        "population precision gap: share of queries with higher precision under side a minus share with higher "
        "precision under side b",
        "arXiv 2402.02103",
        lambda of: np.sign(of["precision_a"] - of["precision_b"]),
    ),
    Metric(
        "prg",
        "PRG",
        "population recall gap: share of queries with higher recall under side a minus share with higher recall under "
        "side b",
        "arXiv 2402.02103",
        lambda of: np.sign(of["recall_a"] - of["recall_b"]),
    ),
    Metric(
        "aucg",
        "AUCG",
        "AUC gap: mean recall under side a minus mean recall under side b, which is the area between the curves of the "
        "share of queries with at least a recall",
        "arXiv 2402.02103, computed exactly",
        lambda of: of["recall_a"] - of["recall_b"],
    ),
    Metric(
        "aucg_binned",
        "AUCG, binned",
        "AUC gap from a histogram of 100 bins for each side, for comparison with the released code",
        "released code of arXiv 2402.02103",
        lambda of: binned(of["recall_a"]) - binned(of["recall_b"]),
        # A coarse computation of ``aucg``: testing it would add cells without adding information.
        is_tested=False,
    ),
)
KEYS = tuple(metric.key for metric in METRICS)
TESTED = tuple(metric.key for metric in METRICS if metric.is_tested)
# The metric that the trade-off of memorization against utility shows; tradeoff.sql names it as well.
TRADED = "ppg"
METRIC_NAMES = {metric.key: metric.name for metric in METRICS if metric.is_tested}


def query_values(
    precision_a: np.ndarray, precision_b: np.ndarray, recall_a: np.ndarray, recall_b: np.ndarray
) -> np.ndarray:
    """Return the per-query values whose means are the metrics: float64 (queries, metrics) in the order of ``KEYS``.

    Args:
        precision_a, precision_b, recall_a, recall_b: float64 (queries,), under side a and under side b.
    """
    scores = {"precision_a": precision_a, "precision_b": precision_b, "recall_a": recall_a, "recall_b": recall_b}
    return np.column_stack([metric.values(scores) for metric in METRICS])
