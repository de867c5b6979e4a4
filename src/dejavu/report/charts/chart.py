"""A figure of the site with what stands below it: its caption, its data and its SQL."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from dejavu.files import write_text

DATA = "data"


@dataclass(frozen=True)
class Chart:
    """A figure.

    Attributes:
        name: name of its data file, and the beginning of its ids.
        heading: heading in the page.
        caption: what is seen, and how to read it.
        drawings: one inline SVG for each part, with the part's heading.
        rows: the data that is drawn; values are numbers and texts.
        query: name of the SQL query that the data comes from.
        sql: text of that query.
        keys: pairs of a class of ``style.css`` and what its colour means.
    """

    name: str
    heading: str
    caption: str
    drawings: Sequence[tuple[str, Markup]]
    rows: Sequence[dict[str, Any]]
    query: str
    sql: str
    keys: Sequence[tuple[str, str]] = ()

    @property
    def file(self) -> str:
        """Return the path of the data, relative to the site."""
        return f"{DATA}/{self.name}.csv"


def write_data(chart: Chart, site: Path) -> None:
    """Write the data of a chart as comma-separated values."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(chart.rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(chart.rows)
    (site / DATA).mkdir(parents=True, exist_ok=True)
    write_text(site / chart.file, text.getvalue())
