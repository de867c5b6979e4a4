"""The result in words and as a table, for the terminal and, as a file, for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from dejavu.files import write_text
from dejavu.memorization.metrics import METRIC_NAMES
from dejavu.memorization.verdicts import PRIMARY_METRIC, PRIMARY_SCOPES, QUERY_NAMES
from dejavu.report.queries import Queries
from dejavu.report.tradeoff import cost, percent, tradeoff
from dejavu.tables.queries import CAPTION

# (metric, scope) that the terminal shows for every query: the paper's first number, and those of the primary cell.
SHOWN = (("ppg", "all"), (PRIMARY_METRIC, PRIMARY_SCOPES[0]))


def one_models(queries: Queries) -> set[str]:
    """Return the models whose side b is a text encoder: the models of one-model tests."""
    return {row["model"] for row in queries.rows("one_models")}


def verdicts(queries: Queries) -> dict[str, list[dict]]:
    """Return model -> its verdicts at its last epoch, on objects and on membership; rows of the table ``verdicts``.

    The ``sentence`` of a verdict is followed by the ``doubts``: listed samples that are missing, and preprocessing that
    is not known.
    """
    lists = [_list_sentence(row) for row in queries.rows("listed_roles") if row["missing"]]
    guessed = [row for row in queries.rows("checkpoints") if not row["preprocessing_known"]]
    by_model: dict[str, list[dict]] = {}
    for row in queries.rows("verdicts"):
        doubts = [*lists, *(_guess_sentence(g) for g in guessed if g["model"] == row["model"])]
        told = " ".join([row["sentence"], *doubts])
        by_model.setdefault(row["model"], []).append({**row, "sentence": told, "doubts": doubts})
    return by_model


def remembered(queries: Queries) -> dict[str, str]:
    """Return model -> a sentence with the largest lower bounds on the share of its training samples it remembers."""
    by_model: dict[str, list[dict]] = {}
    for row in queries.rows("remembered_shares"):
        by_model.setdefault(row["model"], []).append(row)
    return {model: _remembered_sentence(rows) for model, rows in by_model.items()}


def _remembered_sentence(rows: Sequence[dict]) -> str:
    parts = []
    for is_of_objects in (True, False):
        kind = [row for row in rows if ("recall" in row["statistic"]) == is_of_objects]
        if kind:
            best = max(kind, key=lambda row: (row["share_low"], row["listed"]))
            asked = f", asked {QUERY_NAMES[best['query']]}" if is_of_objects else ""
            parts.append(
                f"at least {percent(best['share_low'])} by {best['statistic']}{asked} ({best['listed']:,} can be named)"
            )
    return f"Training samples that are remembered: {' and '.join(parts)}."


def _list_sentence(row: dict) -> str:
    return (
        f"{row['missing']:,} of {row['listed']:,} uids listed for role {row['role']} are not in the dataset; a sample "
        "that the dataset has under another uid counts as not listed."
    )


def _guess_sentence(row: dict) -> str:
    return (
        f"How images were prepared for the checkpoint of side {row['side']} is not known, and OpenCLIP's default was "
        "used: if it is wrong, so are these numbers."
    )


def band(low: float | None, high: float | None) -> str:
    """Return an interval of signed numbers in brackets."""
    return f"[{number(low)}, {number(high)}]"


def number(value: float | None) -> str:
    """Return a signed number with three decimals, or a dash."""
    return "–" if value is None else f"{value:+.3f}"


def p_value(p: float | None, draws: int) -> str:
    """Return a p-value as text.

    A p-value counted over random draws cannot be smaller than 1 / (draws + 1), so there it is only an upper bound.
    """
    if p is None:
        return "–"
    return f"≤ {p:.2g}" if p <= 1.001 / (draws + 1) else f"{p:.2g}"


def write_summary(queries: Queries, path: Path, *, title: str) -> None:
    """Write the text that the terminal shows at the end of a run."""
    rows = queries.rows("result_table")
    draws = queries.config("measure.bootstrap")
    header = ["model", "query", "scope", "metric", "symmetric", "95 % band", "joint p", "on a", "on b"]
    header += ["control", "95 % band"]
    body = [
        [
            row["model"],
            row["query"],
            row["scope"],
            METRIC_NAMES[row["metric"]],
            number(row["value"]),
            band(row["band_low"], row["band_high"]),
            p_value(row["p_joint"], draws),
            number(row["value_a"]),
            number(row["value_b"]),
            number(row["control_value"]),
            band(row["control_band_low"], row["control_band_high"]),
        ]
        for shown in SHOWN
        for row in rows
        if (row["metric"], row["scope"]) == shown
    ]
    lines = [
        f"Déjà vu memorization of {title}, k = {queries.config('report.k')}, "
        f"labels = {queries.config('report.labels')}",
        "",
    ]
    lines += _aligned([header, *body])
    lines.append("")
    if rows:
        lines += [
            "A band holds for all gaps and controls of its model in the report's table at once; joint p is adjusted",
            "for all queries, k, labels, scopes and metrics of a model. The report shows all of them.",
            "",
        ]
    if asked := [
        f"{row['asked']:,} of {row['samples']:,} of role {row['role']}" for row in queries.rows("asked_roles")
    ]:
        lines += [f"Samples that were asked about (measure.query_limit): {', '.join(asked)}.", ""]
    lines += [f"{model}: {row['sentence']}" for model, rows in verdicts(queries).items() for row in rows]
    lines += [f"{row['model']}: {_over_trainings(row)}" for row in queries.rows("recipe_intervals") if _is_shown(row)]
    lines += [f"{model}: {sentence}" for model, sentence in remembered(queries).items()]
    lines += [f"{row['model']}: {cost(row)}." for row in tradeoff(queries)]
    write_text(path, "\n".join(lines) + "\n")


def _is_shown(row: dict) -> bool:
    return row["query"] == CAPTION and (row["metric"], row["scope"]) in SHOWN


def _over_trainings(row: dict) -> str:
    return (
        f"over {row['replicates']} trainings, mean {METRIC_NAMES[row['metric']]} of {row['scope']} objects "
        f"{number(row['mean'])} {band(row['low'], row['high'])}, one more training "
        f"{band(row['next_low'], row['next_high'])}; control {number(row['control_mean'])} "
        f"{band(row['control_low'], row['control_high'])}."
    )


def write_table_file(queries: Queries, path: Path) -> None:
    """Write the result table as tab-separated values."""
    rows = queries.rows("result_table")
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_text(path, text.getvalue())


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]
