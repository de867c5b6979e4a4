"""What tables of a report show, against the queries that they come from."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

from dejavu.memorization.power import MOST_REPLICATES, replicates_needed, upper_deviation
from dejavu.report.queries import Queries
from dejavu.report.recipes import recipe_changes
from tests.harness.project import ROOT

NUMBER = re.compile(r"[-−+]?\d[\d,]*(?:\.\d+)?(?:e-\d+)?|–")
BAND, CONTROL = ("band_low", "band_high"), ("control_value", "control_low", "control_high")
ENDS = ("ci_low", "ci_high")
WANTED = (0.01, 0.02, 0.05, 0.1)


def _with_ends(of: str) -> list[tuple[str, ...]]:
    return [(f"%{of}",), (f"%{of}_low", f"%{of}_high")]


def _rates(name: str) -> list[tuple[str, ...]]:
    return [c for kind in ("tpr", "fpr", "control_tpr") for c in _with_ends(f"{kind}_at_{name}")]


def _remembered(side: str) -> tuple[str, ...]:
    return tuple(f"memory_{side}{end}" for end in ("", "_low", "_high"))


PAGES = ("index", "single_samples", "gallery", "data", "provenance")
# table -> its page, its query, and for each of the columns with numbers its place and the columns of the query that it
# shows; % is a share in per cent
TABLES: dict[str, tuple[str, str, int, list[tuple[str, ...]]]] = {
    "result-table": (
        "index",
        "result_table",
        4,
        [
            ("value",),
            BAND,
            ("p_joint",),
            ("control_value",),
            ("control_band_low", "control_band_high"),
            _remembered("a"),
            _remembered("b"),
            *((name,) for name in ("placebo", "placebo_p_value", "p_value", "control_p_value", "value_a", "value_b")),
            ENDS,
            ("mean", "std"),
            *((name,) for name in ("detectable", "n", "effective_groups", "control_n")),
        ],
    ),
    "tradeoff-table": (
        "index",
        "tradeoff",
        2,
        [("gap",), BAND, ("%recall_at_10",), ("%recall_low", "%recall_high"), (), ("%change",)]
        + [("%change_low", "%change_high"), ("%front",)],
    ),
    "utility-table": (
        "index",
        "utility",
        3,
        [("%value",), ("%ci_low", "%ci_high"), ("%worse_side",), ("%better_side",), (), ("%change",)]
        + [("%change_low", "%change_high"), ("n",)],
    ),
    "attacks-table": ("index", "attacks", 4, [("value",), ENDS, CONTROL[:1], CONTROL[1:], ("n",)]),
    "membership-table": (
        "index",
        "membership",
        4,
        [("n_members", "n_others"), ("auc",), ("auc_low", "auc_high"), ("control_auc",)]
        + [("control_auc_low", "control_auc_high"), *_rates("1_percent"), *_rates("0_1_percent")],
    ),
    "origin-trends-table": (
        "index",
        "memory_trends",
        3,
        [("trend",), ENDS] + [(name,) for name in ("p_value", "p_joint", "placebo", "placebo_p_value", "n", "groups")],
    ),
    "origins-table": (
        "index",
        "memory_sources",
        4,
        [("value",), ENDS, ("value_a",), ("value_b",), ("control",), CONTROL[1:], ("n",), ("groups",), ("control_n",)],
    ),
    "power-table": (
        "index",
        "power",
        3,
        [(name,) for name in ("value", "groups", "detectable", "gap", "groups_needed")],
    ),
    # of several trainings the table has more columns
    "power-table of replicates": (
        "index",
        "power",
        3,
        [
            (name,)
            for name in ("value", "groups", "detectable", "gap", "groups_needed", "replicates", "needed", "upper")
        ],
    ),
    "recipe-changes-table": ("index", "recipe_changes", 5, [("replicates",), ("mean",), ("low", "high")]),
    "single-samples-table": (
        "single_samples",
        "remembered_shares",
        3,
        [(name,) for name in ("replicates", "samples", "control", "%share_low", "listed", "listed_placebo")],
    ),
    "privacy-table": (
        "single_samples",
        "privacy",
        2,
        [(name,) for name in ("epsilon_low", "canaries", "guesses", "right_guesses")],
    ),
    "confirmations-table": (
        "single_samples",
        "confirmations",
        3,
        [(name,) for name in ("listing", "listed", "confirmed", "advantage", "std_error", "unlisted_advantage")],
    ),
    "luck-table": (
        "gallery",
        "gallery_luck",
        1,
        [("gap",), ("samples",), ("of_samples",), ("by_luck",), ("%luck",)],
    ),
    "duplicates-table": ("data", "duplicates", 2, [("groups",), ("samples",), ("largest",)]),
    "groups-table": (
        "data",
        "group_sizes",
        1,
        [(name,) for name in ("samples", "groups", "effective", "largest", "mean_size")],
    ),
    "unnamed-table": ("data", "unnamed_labels", 1, [("images",), ("unnamed",)]),
    "blind-baseline-table": ("index", "blind_baseline", 2, [("auc",), ("std_error",), ("captions",)]),
    "replicates-table": (
        "index",
        "recipe_intervals",
        4,
        [("replicates",), ("mean",), ("low", "high"), ("next_low", "next_high"), ("between",), ("control_mean",)]
        + [("control_low", "control_high")],
    ),
    "stages-table": (
        "provenance",
        "stages",
        1,
        [("subjects",), ("rows_in",), ("rows_out",), (), ("seconds",), ("peak_memory_mb",)],
    ),
}


class Tables(HTMLParser):
    """Tables by their id: the texts of the cells of each row of the body."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.rows: dict[str, list[list[str]]] = {}
        self._table, self._cell = "", False
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self._table = dict(attrs).get("id") or ""
            self.rows.setdefault(self._table, [])
        elif tag == "tr" and self._table:
            self.rows[self._table].append([])
        elif tag in ("td", "th") and self._table:
            self.rows[self._table][-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = False
        elif tag == "table":
            self._table = ""

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[self._table][-1][-1] += data


def shows(cell: str, values: list[float | None]) -> bool:
    """Whether the numbers in a cell are these values, each rounded as it is written."""
    written = NUMBER.findall(cell)
    known = [value for value in values if value is not None]
    if not known:
        return set(written) <= {"–"}
    if len(written) != len(known):
        return False
    for text, value in zip(written, known, strict=True):
        if text == "–":
            return False
        plain = text.replace(",", "").replace("−", "-")
        digits, _, exponent = plain.partition("e")
        decimals = len(digits.partition(".")[2]) - int(exponent or 0)
        if abs(float(plain) - value) > 0.5 * 10**-decimals + 1e-9 * abs(value) + 1e-12:
            return False
    return True


def value_of(row: dict, column: str) -> float | None:
    value = row[column.removeprefix("%")]
    return None if value is None else float(value) * (100 if column.startswith("%") else 1)


def shown_tables(report: Path) -> dict[str, list[list[str]]]:
    """Return table -> the texts of its cells by rows, the head first, of all pages of a report."""
    return {name: rows for page in PAGES for name, rows in Tables(report / f"{page}.html").rows.items() if name}


def _with_fronts(queries: Queries) -> list[dict]:
    """The trade-off, with the share of the draws in which no other model of the kind beats a model."""
    rows = queries.rows("tradeoff")

    def beats(other: dict, one: dict, draw: int) -> bool:
        gain = other["drawn_recall"][draw] - one["drawn_recall"][draw]
        less = max(one["drawn_gap"][draw], 0) - max(other["drawn_gap"][draw], 0)
        return gain >= 0 and less >= 0 and gain + less > 0

    for one in rows:
        others = [row for row in rows if row["reference"] == one["reference"] and row["drawn_recall"]]
        draws = range(len(one["drawn_recall"] or []))
        beaten = sum(any(beats(other, one, draw) for other in others) for draw in draws)
        one["front"] = 1 - beaten / len(draws) if draws else None
    return rows


def _with_wanted_gaps(queries: Queries) -> list[dict]:
    """What larger runs need, for each wanted gap: the noise falls with the root of the groups."""
    rows = []
    for row in queries.rows("power"):
        if (row["metric"], row["scope"]) not in {("ppg", "all"), ("aucg", "unnamed")}:
            continue
        for gap in WANTED:
            needed = upper = None
            if row["between"] is not None:
                reached = upper_deviation(row["between"], row["replicates"])
                needed, upper = (replicates_needed(gap, noise, row["within"]) for noise in (row["between"], reached))
                needed, upper = needed or MOST_REPLICATES, upper or MOST_REPLICATES
            groups = math.ceil(row["groups"] * row["detectable"] ** 2 / gap**2 - 1e-9)
            rows.append({**row, "gap": gap, "groups_needed": groups, "needed": needed, "upper": upper})
    return rows


# what is more than the rows of a query
ROWS: dict[str, Callable[[Queries], list[dict]]] = {
    "tradeoff": _with_fronts,
    "power": _with_wanted_gaps,
    "recipe_changes": recipe_changes,
}


def assert_shown(table: str, results: Path) -> None:
    """Fail where a number in a table is not that of its query, in its row and its column."""
    queries = Queries(results / "memorization.duckdb", ROOT / "workflow" / "sql")
    page, query, first, columns = TABLES[table]
    head, *lines = Tables(results / "report" / f"{page}.html").rows[table.removesuffix(" of replicates")]
    rows = ROWS[query](queries) if query in ROWS else queries.rows(query)
    if table == "luck-table":
        # of each model the smallest gap that the gallery shows
        shown = {(model, int(gap)) for model, gap, *_ in lines}
        rows = [row for row in rows if (row["model"], row["gap"]) in shown]
    _assert_lines(table, first, columns, head, lines, rows)


CHANGE = [("%change",), ("%change_low", "%change_high")]
# the same for the page of a study; first place and columns
STUDY_TABLES: dict[str, tuple[int, list[tuple[str, ...]]]] = {
    "points-table": (
        7,
        [
            ("gap",),
            ENDS,
            CONTROL[:1],
            CONTROL[1:],
            ("p_value",),
            ("change",),
            ("change_low", "change_high"),
            (),
            ("n",),
        ],
    ),
    "utility-table": (4, [("%utility",), ("%ci_low", "%ci_high"), ("%worse_side",), ("%better_side",), *CHANGE]),
    "tradeoff-table": (
        2,
        [("gap",), ("gap_low", "gap_high"), ("%utility",), ("%ci_low", "%ci_high"), *CHANGE, ("%front_share",)],
    ),
}


def assert_study_shown(study: Path) -> None:
    """Fail where a number in a table of a study's page is not that of the study's files."""
    points, utility = (_rows_of(study / f"{name}.tsv") for name in ("points", "utility"))
    memory = [row for row in points if (row["scope"], row["metric"]) == ("all", "ppg")]
    tradeoffs = []
    for useful in utility:
        if useful["front_share"] is not None:
            same = [row for row in memory if (row["value"], row["model"]) == (useful["value"], useful["model"])]
            most = max(same, key=lambda row: row["gap"])
            tradeoffs.append({**useful, "gap": most["gap"], "gap_low": most["ci_low"], "gap_high": most["ci_high"]})
    rows = {"points-table": points, "utility-table": utility, "tradeoff-table": tradeoffs}
    shown = Tables(study / "report" / "index.html").rows
    for table, (first, columns) in STUDY_TABLES.items():
        head, *lines = shown[table]
        _assert_lines(table, first, columns, head, lines, rows[table])


def _rows_of(file: Path) -> list[dict]:
    with open(file, newline="", encoding="utf-8") as lines:
        return [
            {name: _read(cell) for name, cell in row.items()}
            for row in csv.DictReader(lines, delimiter="\t" if file.suffix == ".tsv" else ",")
        ]


def _read(cell: str) -> float | str | None:
    try:
        return float(cell)
    except ValueError:
        return cell or None


def _assert_lines(
    table: str,
    first: int,
    columns: list[tuple[str, ...]],
    head: list[str],
    lines: list[list[str]],
    rows: list[dict],
) -> None:
    assert len(lines) == len(rows) > 0, table
    assert len(head) >= first + len(columns), head
    for cells, row in zip(lines, rows, strict=True):
        for place, names in enumerate(columns, first):
            values = [value_of(row, name) for name in names]
            assert not names or shows(cells[place], values), (head[place], cells, values)


class Charts(HTMLParser):
    """Figures by name: for each panel its heading, and what is shown on hovering over the marks."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.panels: dict[str, list[tuple[str, list[str]]]] = {}
        self._name, self._heading, self._tag = "", "", ""
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self._tag = tag if not (tag == "title" and "id" in values) else "figure's title"
        if tag == "figure":
            self._name, self._heading = (values.get("id") or "").removeprefix("figure-"), ""
        elif tag == "svg" and values.get("class") == "chart":
            self.panels.setdefault(self._name or "forest", []).append((self._heading, []))

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""
        if tag == "figure":
            self._name = ""

    def handle_data(self, data: str) -> None:
        if self._tag == "h4":
            self._heading = data
        elif self._tag == "title" and self.panels:
            list(self.panels.values())[-1][-1][1].append(data)


def assert_charts_shown(results: Path) -> set[str]:
    """Fail where a number that a figure shows on hovering is not in its data, or its data not in its query.

    Returns:
        The names of the figures that have numbers.
    """
    queries = Queries(results / "memorization.duckdb", ROOT / "workflow" / "sql")
    report = results / "report"
    found = set()
    page = (report / "index.html").read_text(encoding="utf-8")
    for name, panels in Charts(report / "index.html").panels.items():
        if name == "forest":
            continue
        rows = _rows_of(report / "data" / f"{name}.csv")
        (query,) = re.findall(rf'id="figure-{name}".*?SQL of this figure: (\w+)\.sql', page, re.DOTALL)
        known = {tuple(_comparable(value) for value in row.values()) for row in _columns(queries.rows(query), rows[0])}
        shared = [column for column in rows[0] if column in queries.rows(query)[0]]
        assert shared and all(tuple(_comparable(row[column]) for column in shared) in known for row in rows), name
        for heading, titles in panels:
            of_panel = [row for row in rows if not heading or row.get("model") == heading.split(",")[0]]
            for title in titles:
                assert any(_tells(title, row) for row in of_panel), (name, heading, title)
                if NUMBER.search(title):
                    found.add(name)
    return found


def _columns(rows: list[dict], like: dict) -> list[dict]:
    return [{column: row[column] for column in like if column in row} for row in rows]


def _comparable(value: object) -> object:
    """A value of a query as a CSV file gives it back; the last bits depend on the order in which threads add."""
    read = value if isinstance(value, float) else _read("" if value is None else str(value))
    return float(f"{read:.9g}") if isinstance(read, float) else read


def _tells(title: str, row: dict) -> bool:
    """Whether every number in a text is one of a row's, as it is or in per cent."""
    for text in ("recall@10", " of 100", *(value for value in row.values() if isinstance(value, str))):
        title = title.replace(text, "")
    numbers = [value * factor for value in row.values() if isinstance(value, float) for factor in (1, 100)]
    return all(any(shows(text, [number]) for number in numbers) for text in NUMBER.findall(title))
