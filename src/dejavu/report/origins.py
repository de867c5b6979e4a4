"""Where memory comes from: what the page shows of the tables ``memory_sources`` and ``memory_trends``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dejavu.memorization.verdicts import LEVEL
from dejavu.report.queries import Queries
from dejavu.report.summary import band, number, p_value

SOURCE_NAMES = {
    "copies": "the number of copies that were trained on",
    "rarest object": "the frequency of the rarest object that the caption does not name",
    "caption words": "the number of words of the caption",
    "nearest public": "the similarity of what is nearest among the public samples",
}
# sources that are shares and not numbers of things
SHARES = ("rarest object",)
SIMILARITIES = ("nearest public",)


def origins(queries: Queries) -> dict[str, Any]:
    """Return what the page shows of where memory comes from.

    Returns:
        ``origin_bins``: rows of ``memory_sources.sql`` with the bin in words as ``values``; ``origin_trends``: rows of
        ``memory_trends.sql``; ``origin_sentences``: a sentence for each model; ``source_names``: source -> its name.
    """
    bins = [{**row, "values": _values(row)} for row in queries.rows("memory_sources")]
    trends = queries.rows("memory_trends")
    by_model: dict[str, list[dict]] = {row["model"]: [] for row in bins}
    for row in trends:
        by_model.setdefault(row["model"], []).append(row)
    draws = queries.config("measure.bootstrap")
    return {
        "origin_bins": bins,
        "origin_trends": trends,
        "origin_sentences": {model: _sentence(rows, draws) for model, rows in by_model.items()},
        "source_names": SOURCE_NAMES,
    }


def _sentence(trends: Sequence[Mapping[str, Any]], draws: int) -> str:
    """Return a sentence on the trends of one model that are clear once all of them are counted in."""
    found = [row for row in trends if row["p_joint"] is not None and row["p_joint"] <= LEVEL]
    if not trends:
        return "No trend can be tested: within every source all samples are alike."
    if not found:
        return f"None of the {len(trends)} trends is clear (all p, adjusted for their number, are above {LEVEL})."
    parts = [
        f"memory by {row['statistic']} {'grows' if row['trend'] > 0 else 'shrinks'} with "
        f"{SOURCE_NAMES[row['source']]} (trend {number(row['trend'])} {band(row['ci_low'], row['ci_high'])}, adjusted "
        f"p {p_value(row['p_joint'], draws)}; halves of the holdout {number(row['placebo'])})"
        for row in found
    ]
    text = f"{'; '.join(parts)}. Of {len(trends)} trends {len(found)} {'is' if len(found) == 1 else 'are'} clear."
    return text[0].upper() + text[1:]


def _values(row: Mapping[str, Any]) -> str:
    """Return the values of a bin in words."""
    low, high = (_value(row["source"], row[end]) for end in ("low", "high"))
    return low if low == high else f"{low} to {high}"


def _value(source: str, value: float) -> str:
    if source in SHARES:
        return f"{100 * value:.3g} %"
    return f"{value:.3f}" if source in SIMILARITIES else f"{value:,.0f}"
