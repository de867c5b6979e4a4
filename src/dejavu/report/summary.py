"""The result in words and as a plain table: for the terminal, and as a file for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from dejavu.files import write_text
from dejavu.report.queries import Queries

METRIC_NAMES = {"ppg": "PPG", "prg": "PRG", "aucg": "AUCG"}
SCOPE_NAMES = {"all": "all objects", "unnamed": "objects the caption does not name"}


def verdict(row: dict) -> str:
    """One sentence on one row of the result table, drawn from its interval and its null's."""
    gap = f"{number(row['value'])} [{number(row['ci_low'])}, {number(row['ci_high'])}]"
    null = f"{number(row['null_value'])} [{number(row['null_low'])}, {number(row['null_high'])}]"
    name = METRIC_NAMES[row["metric"]]
    if row["ci_low"] is None:
        found = f"The {name} could not be measured"
    elif row["ci_low"] > 0:
        found = f"The two models remember their training images: symmetric {name} {gap}"
    elif row["ci_high"] < 0:
        found = (
            f"Each model predicts the other's training images better: symmetric {name} {gap}, "
            "which memorization does not explain"
        )
    else:
        found = f"No memorization shown: symmetric {name} {gap} includes 0"
    return f"{found}; null on the holdout {null}{_null_remark(row)}."


def _null_remark(row: dict) -> str:
    if row["null_low"] is None or row["null_low"] <= 0 <= row["null_high"]:
        return ""
    better = "a" if row["null_value"] > 0 else "b"
    return f", so side {better} is the better model on images that neither has seen, by {abs(row['null_value']):.3f}"


def number(value: float | None) -> str:
    """A signed number with three decimals, or a dash."""
    return "–" if value is None else f"{value:+.3f}"


def write_summary(queries: Queries, path: Path, *, title: str) -> None:
    """Writes the text that the terminal shows at the end."""
    rows = queries.rows("result_table")
    utility = {row["model"]: row["recall_at_10"] for row in queries.rows("tradeoff")}
    header = ["model", "scope", "metric", "symmetric", "95 % interval", "a", "b", "null (holdout)", "95 % interval"]
    body = [
        [
            row["model"],
            row["scope"],
            METRIC_NAMES[row["metric"]],
            number(row["value"]),
            f"[{number(row['ci_low'])}, {number(row['ci_high'])}]",
            number(row["value_a"]),
            number(row["value_b"]),
            number(row["null_value"]),
            f"[{number(row['null_low'])}, {number(row['null_high'])}]",
        ]
        for row in rows
    ]
    lines = [
        f"Déjà vu memorization of {title}, k = {queries.config('report.k')}, "
        f"labels = {queries.config('report.labels')}",
        "",
    ]
    lines += _aligned([header, *body])
    lines.append("")
    lines += [f"{model}: {verdict(row)}" for model, row in headline(rows).items()]
    lines += [f"{model}: holdout retrieval recall@10 {value:.1%}" for model, value in utility.items()]
    write_text(path, "\n".join(lines) + "\n")


def headline(rows: Sequence[dict]) -> dict[str, dict]:
    """Model -> the row that its verdict is drawn from: PPG over all objects."""
    return {row["model"]: row for row in rows if row["metric"] == "ppg" and row["scope"] == "all"}


def write_table_file(queries: Queries, path: Path) -> None:
    """Writes the result table as tab-separated values."""
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
