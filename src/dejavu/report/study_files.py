"""The files of a study: its tables, its page and its summary."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from dejavu.files import write_text
from dejavu.memorization.metrics import METRIC_NAMES
from dejavu.report.captions import captions
from dejavu.report.changes import RECALL
from dejavu.report.site import environment
from dejavu.report.study import Study
from dejavu.report.study_texts import sentences, trainings
from dejavu.report.summary import band
from dejavu.report.tradeoff import percent_band

POINT_COLUMNS = (
    "study axis value split model epoch query scope metric gap ci_low ci_high p_value n control_value control_low "
    "control_high change change_low change_high pairing recipe_change recipe_low recipe_high recipe_over"
)
UTILITY_COLUMNS = (
    "study axis value split model epoch task metric utility ci_low ci_high worse_side better_side change change_low "
    "change_high front_share"
)


def write_points(study: Study, points: Path, utility: Path) -> None:
    """Write two files of tab-separated values, of gaps and of utility, with one line per point and metric."""
    _write_tsv(points, POINT_COLUMNS.split(), study, [{**row, **_of_recipe(study, row)} for row in study.gaps])
    shares = {(place, RECALL): share for place, share in study.fronts.items()}
    rows = [{**row, "front_share": shares.get((row["place"], row["metric"]))} for row in study.utility]
    _write_tsv(utility, UTILITY_COLUMNS.split(), study, rows)


def _of_recipe(study: Study, row: Mapping) -> dict[str, object]:
    """Return the columns of the recipe's change since the first point; none where too little was trained to tell."""
    change = study.directions.get((row["place"], row["query"], row["metric"]))
    if change is None or row["scope"] != "all":
        return {}
    return {
        "recipe_change": change.change,
        "recipe_low": change.low,
        "recipe_high": change.high,
        "recipe_over": trainings(change),
    }


def _write_tsv(path: Path, columns: Sequence[str], study: Study, rows: Sequence[dict]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, delimiter="\t", lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows({**row, "axis": study.axis} for row in rows)
    write_text(path, text.getvalue())


def write_study(study: Study, figures: Sequence[Path], templates: Path, site: Path, *, title: str) -> None:
    """Write ``index.html`` with its style and figures into the folder ``site``.

    Args:
        study: the results of the study.
        figures: SVG files to copy and show.
        templates: folder with ``study.html.j2`` and ``style.css``, beside the folder ``studies`` with the captions.
        site: folder of the site, created if needed.
        title: heading of the page.
    """
    (site / "figures").mkdir(parents=True, exist_ok=True)
    drawn = {figure.stem for figure in figures}
    for figure in figures:
        shutil.copyfile(figure, site / "figures" / figure.name)
    shutil.copyfile(templates / "style.css", site / "style.css")
    page = (
        environment(templates)
        .get_template("study.html.j2")
        .render(
            title=title,
            study=study,
            sentences=sentences(study),
            metric_names=METRIC_NAMES,
            draws=study.draws,
            figures=[(name, text) for name, text in captions(templates.parent / "studies").items() if name in drawn],
            band=band,
            percent_band=percent_band,
        )
    )
    write_text(site / "index.html", page)


def write_summary(study: Study, path: Path) -> None:
    """Write the text that the terminal shows at the end of a run."""
    heading = f"Study {study.name}: {study.axis} of {study.model} in {study.split}"
    write_text(path, "\n".join([heading, "", *sentences(study)]) + "\n")
