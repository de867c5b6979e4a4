"""The tables that leave with a report, as cells of text made from the rows of the queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dejavu.memorization.metrics import METRIC_NAMES
from dejavu.memorization.verdicts import PRIMARY_METRIC, PRIMARY_SCOPES, SCOPE_NAMES
from dejavu.report.queries import Queries
from dejavu.report.summary import band, number, p_value


@dataclass(frozen=True)
class Table:
    """A table: names of its columns, its rows, and what it shows in one sentence."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(queries: Queries) -> dict[str, Table]:
    """Return name of a file -> its table: verdicts, gaps with controls, membership, utility and single samples."""
    draws = queries.config("measure.bootstrap")
    return {
        "verdicts": verdict_table(queries.rows("verdicts"), draws),
        "gaps": gap_table(queries.rows("result_table"), draws),
        "membership": membership_table(queries.rows("attacks")),
        "utility": utility_table(queries.rows("utility")),
        "single-samples": single_sample_table(queries.rows("remembered_shares")),
    }


def verdict_table(verdicts: Iterable[Mapping], draws: int) -> Table:
    """Return the verdicts on every model, each with its strongest number."""
    return Table(
        "Verdicts. The value is that of the strongest cell or attack, p that over all of them together.",
        ["model", "about", "verdict", "value", "95 % interval", "p", "could have missed"],
        [
            [
                row["model"],
                row["about"],
                row["verdict"],
                _plain(row["value"]),
                _interval(row["ci_low"], row["ci_high"]),
                p_value(row["p_value"], draws),
                _plain(row["detectable"]),
            ]
            for row in verdicts
        ],
    )


def gap_table(gaps: Iterable[Mapping], draws: int) -> Table:
    """Return the gaps of the reported cell, each beside its control."""
    return Table(
        "Symmetric gaps, each beside its control. A band holds for all gaps and controls of a model at once.",
        ["model", "objects", "query", "metric", "symmetric", "95 % band", "joint p", "control", "95 % band", "n"],
        [
            [
                row["model"],
                row["scope"],
                row["query"],
                METRIC_NAMES[row["metric"]],
                number(row["value"]),
                band(row["band_low"], row["band_high"]),
                p_value(row["p_joint"], draws),
                number(row["control_value"]),
                band(row["control_band_low"], row["control_band_high"]),
                f"{row['n']:,}",
            ]
            for row in gaps
        ],
    )


def primary_table(gaps: Sequence[Mapping]) -> Table | None:
    """Return the metric chosen beforehand of one model, asked in every way; None where nothing was measured."""
    of_metric = [row for row in gaps if row["metric"] == PRIMARY_METRIC and row["value"] is not None]
    scopes = [scope for scope in PRIMARY_SCOPES if any(row["scope"] == scope for row in of_metric)]
    if not scopes:
        return None
    shown = [row for row in of_metric if row["scope"] == scopes[0]]
    return Table(
        f"Symmetric {METRIC_NAMES[PRIMARY_METRIC]} of {SCOPE_NAMES[scopes[0]]} (k = {shown[0]['k']}, labels: "
        f"{shown[0]['labels']}), the metric chosen beforehand, beside its control:",
        ["asked with", "symmetric", "95 % interval", "control", "95 % interval", "n"],
        [
            [
                row["query"],
                number(row["value"]),
                band(row["ci_low"], row["ci_high"]),
                number(row["control_value"]),
                band(row["control_low"], row["control_high"]),
                f"{row['n']:,}",
            ]
            for row in shown
        ],
    )


def membership_table(attacks: Iterable[Mapping]) -> Table:
    """Return the membership attacks on every side, each beside its null."""
    return Table(
        "Attacks on membership, each beside its null: the same measure on pairs that the side was not trained on.",
        ["model", "side", "attack", "measure", "value", "95 % interval", "null", "95 % interval", "n"],
        [
            [
                row["model"],
                row["side"],
                row["attack"],
                row["metric"],
                _plain(row["value"]),
                _interval(row["ci_low"], row["ci_high"]),
                _plain(row["control_value"]),
                _interval(row["control_low"], row["control_high"]),
                f"{row['n']:,}",
            ]
            for row in attacks
        ],
    )


def utility_table(utility: Iterable[Mapping]) -> Table:
    """Return what the models are good for."""
    return Table(
        "Utility at the last epoch, mean over the sides that have images.",
        ["model", "task", "measure", "value", "95 % interval", "n"],
        [
            [
                row["model"],
                row["task"],
                row["metric"],
                _plain(row["value"]),
                _interval(row["ci_low"], row["ci_high"]),
                f"{row['n']:,}" if row["n"] is not None else "–",
            ]
            for row in utility
        ],
    )


def single_sample_table(shares: Iterable[Mapping]) -> Table:
    """Return how many training samples are remembered, at least."""
    return Table(
        "Training samples that are remembered, at least; listed at the given rate of false discoveries.",
        ["model", "statistic", "query", "samples", "share, at least", "listed", "rate", "listed of the placebo"],
        [
            [
                row["model"],
                row["statistic"],
                row["query"] or "–",
                f"{row['samples']:,}",
                _plain(row["share_low"]),
                f"{row['listed']:,}",
                f"{row['rate']:g}",
                f"{row['listed_placebo']:g}" if row["listed_placebo"] is not None else "–",
            ]
            for row in shares
        ],
    )


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"
