"""The result in words and as a plain table: for the terminal, and as a file for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from dejavu.files import write_text
from dejavu.report.queries import Queries

METRIC_NAMES = {"ppg": "PPG", "prg": "PRG", "aucg": "AUCG"}
ONE_MODEL = "text_encoder"
SCOPE_NAMES = {"all": "all objects", "unnamed": "objects the caption does not name"}


def verdict(row: dict) -> str:
    """One sentence on one row of the result table, drawn from its simultaneous band and its null's."""
    gap = f"{number(row['value'])} {band(row['band_low'], row['band_high'])}"
    name = METRIC_NAMES[row["metric"]]
    one_model = row["reference"] == ONE_MODEL
    if row["band_low"] is None:
        found = f"The {name} could not be measured"
    elif row["band_low"] > 0:
        remembers = (
            "The model remembers its training images" if one_model else "The two models remember their training images"
        )
        found = f"{remembers}: symmetric {name} {gap}"
    elif row["band_high"] < 0:
        found = (
            f"{'The model' if one_model else 'Each model'} predicts "
            f"{'images it was not trained on' if one_model else 'the other model' + chr(8217) + 's training images'} "
            f"better: symmetric {name} {gap}, which memorization does not explain"
        )
    else:
        found = (
            f"No memorization shown: symmetric {name} {gap} includes 0; this run shows gaps from "
            f"{row['detectable']:.3f} on"
        )
    return f"{found}; {_null_sentence(row)}."


def verdicts(queries: Queries) -> dict[str, tuple[dict, str]]:
    """Model -> the row that its verdict is drawn from, and the verdict, with what it rests on and is not known."""
    lists = [_list_sentence(row) for row in queries.rows("listed_roles") if row["missing"]]
    guessed = [row for row in queries.rows("checkpoints") if not row["preprocessing_known"]]
    return {
        model: (row, " ".join([verdict(row), *lists, *(_guess_sentence(g) for g in guessed if g["model"] == model)]))
        for model, row in headline(queries.rows("result_table")).items()
    }


def _list_sentence(row: dict) -> str:
    return (
        f"{row['missing']:,} of {row['listed']:,} uids listed for role {row['role']} are not in the dataset; a sample "
        "that is there under another name counts as not listed."
    )


def _guess_sentence(row: dict) -> str:
    return (
        f"How images were prepared for the checkpoint of side {row['side']} is not known, and OpenCLIP's default was "
        "taken: if that is wrong, so are these numbers."
    )


def _null_sentence(row: dict) -> str:
    where = "between two roles that it never saw" if row["reference"] == ONE_MODEL else "on the holdout"
    null = f"null {where} {number(row['null_value'])} {band(row['null_band_low'], row['null_band_high'])}"
    if row["null_band_low"] is None or row["null_band_low"] <= 0 <= row["null_band_high"]:
        return null
    if row["reference"] == ONE_MODEL:
        return f"{null}, which is not 0: the roles differ by {abs(row['null_value']):.3f} without any memory"
    better = "a" if row["null_value"] > 0 else "b"
    return (
        f"{null}, which is not 0: the sides differ, side {better} being the better model on images that neither has "
        f"seen, by {abs(row['null_value']):.3f}"
    )


def band(low: float | None, high: float | None) -> str:
    """An interval in brackets."""
    return f"[{number(low)}, {number(high)}]"


def number(value: float | None) -> str:
    """A signed number with three decimals, or a dash."""
    return "–" if value is None else f"{value:+.3f}"


def p_value(p: float | None, draws: int) -> str:
    """A p-value that was counted over random draws: the smallest that can be is an upper bound."""
    if p is None:
        return "–"
    return f"≤ {p:.2g}" if p <= 1.001 / (draws + 1) else f"{p:.2g}"


def write_summary(queries: Queries, path: Path, *, title: str) -> None:
    """Writes the text that the terminal shows at the end."""
    rows = queries.rows("result_table")
    utility = {row["model"]: row["recall_at_10"] for row in queries.rows("tradeoff")}
    draws = queries.config("measure.bootstrap")
    header = ["model", "scope", "metric", "symmetric", "95 % band", "p", "a", "b", "null", "95 % band"]
    body = [
        [
            row["model"],
            row["scope"],
            METRIC_NAMES[row["metric"]],
            number(row["value"]),
            band(row["band_low"], row["band_high"]),
            p_value(row["p_value"], draws),
            number(row["value_a"]),
            number(row["value_b"]),
            number(row["null_value"]),
            band(row["null_band_low"], row["null_band_high"]),
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
    if rows:
        lines.append(f"Bands hold for all {rows[0]['cells']} gaps and nulls of this table at once.")
    lines += [f"{model}: {sentence}" for model, (_, sentence) in verdicts(queries).items()]
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
