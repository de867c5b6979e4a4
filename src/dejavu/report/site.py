"""The static site: pages that open from disk without a network, and the files that they show in the same folder."""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np

from dejavu.data.images import decode_rgb
from dejavu.data.samples import SampleStore
from dejavu.files import write_text
from dejavu.memorization.metrics import METRIC_NAMES
from dejavu.memorization.verdicts import QUERY_NAMES
from dejavu.report.captions import captions, is_blank
from dejavu.report.charts.chart import write_data
from dejavu.report.pages.data import data, member_rows
from dejavu.report.pages.gallery import gallery, image_rows, trained_samples
from dejavu.report.pages.index import index
from dejavu.report.pages.provenance import provenance
from dejavu.report.pages.single_samples import single_samples
from dejavu.report.queries import Queries
from dejavu.report.scripts import write_script
from dejavu.report.summary import band, number, one_models, p_value
from dejavu.report.tradeoff import percent, percent_band, points

THUMBNAIL = 192
# Most images, and their width or height in pixels and JPEG quality: about 30, 80 and 100 MB of photographs at most.
THUMBNAILS = ((3_000, THUMBNAIL, 90), (16_000, 144, 80), (math.inf, 80, 70))


@dataclass(frozen=True)
class Page:
    """A page of the site: its file and template, its name in the navigation, its heading and its first sentence."""

    file: str
    template: str
    name: str
    heading: str
    lead: str


INDEX = Page(
    "index.html",
    "index.html.j2",
    "Result",
    "What does the model remember?",
    "A training caption is given to a model that saw its pair and to one that did not, and each ranks public images. "
    "Where the objects in the first model’s images match the training image better than those in the second’s, on "
    "average over many captions, the first remembers the image. What both find follows from the caption and the data’s "
    "correlations.",
)
GALLERY = Page(
    "gallery.html",
    "pages/gallery.html.j2",
    "Gallery",
    "Samples with the largest gaps",
    "Training pairs whose objects the model that saw them finds, and the other model does not.",
)
SINGLE_SAMPLES = Page(
    "single_samples.html",
    "pages/single_samples.html.j2",
    "Single samples",
    "Single samples",
    "How many training samples are remembered, and which of them can be named.",
)
DATA = Page(
    "data.html",
    "pages/data.html.j2",
    "Data",
    "The data",
    "The roles of the samples, what is repeated, and which objects captions leave unnamed.",
)
PROVENANCE = Page(
    "provenance.html",
    "pages/provenance.html.j2",
    "Provenance",
    "Provenance",
    "Where the numbers come from: every stage, its rows and its cost, and the whole configuration.",
)
# Files that pages share, copied as they are.
FILES = ("style.css", "browse.js", "gallery_view.js", "evidence_view.js")
PAGES = (INDEX, GALLERY, SINGLE_SAMPLES, DATA, PROVENANCE)


def write_site(
    queries: Queries,
    figures: Sequence[Path],
    samples: Sequence[str],
    templates: Path,
    site: Path,
    *,
    title: str,
    objects: Sequence[str] = (),
) -> None:
    """Write the pages with their style, figures and images into the folder ``site``.

    Captions, labels and names are untrusted: the templates escape all of them, and images are encoded again.

    Args:
        queries: the queries on the database.
        figures: SVG files to show; blank ones are left out.
        samples: folders of the samples table, one for each batch of files, with the images that the pages show.
        templates: folder with ``index.html.j2`` and ``style.css``, beside the folder ``figures`` with the captions.
        site: folder of the site, created if needed.
        title: the dataset and the split.
        objects: folders of the objects table, with the boxes that the gallery draws; without them it draws none.
    """
    shown = _copy_figures(figures, templates, site)
    for name in FILES:
        shutil.copyfile(templates / name, site / name)
    gallery_shown = gallery(queries, samples, objects)
    first = index(queries)
    for chart in first["charts"]:
        write_data(chart, site)
    contexts = {
        INDEX: {**first, "figures": [figure for figure in shown if figure[0] not in {c.name for c in first["charts"]}]},
        GALLERY: gallery_shown,
        SINGLE_SAMPLES: single_samples(queries, trained_samples(gallery_shown)),
        DATA: data(queries, samples),
        PROVENANCE: provenance(queries),
    }
    rows = np.union1d(image_rows(gallery_shown), member_rows(contexts[DATA]))
    write_script(site / "gallery.js", "dejavuGallery", gallery_shown["shown"])
    write_script(site / "evidence.js", "dejavuEvidence", contexts[SINGLE_SAMPLES]["evidence"])
    _write_images(rows, samples, site / "images")
    measured = {row["model"] for row in contexts[INDEX]["results"]}
    of_one_model = measured & one_models(queries)
    common = {
        "title": title,
        "pages": PAGES,
        "one_model": bool(of_one_model),
        "two_models": bool(measured - of_one_model),
        "query_names": QUERY_NAMES,
        "metric_names": METRIC_NAMES,
        "draws": queries.config("measure.bootstrap"),
        "k": queries.config("report.k"),
        "labels": queries.config("report.labels"),
    }
    templating = environment(templates)
    for page, context in contexts.items():
        text = templating.get_template(page.template).render(page=page, **common, **context)
        write_text(site / page.file, text)


def environment(templates: Path) -> jinja2.Environment:
    """Return an environment for the templates of a folder that escapes every value."""
    templating = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templating.filters.update(number=number, percent=percent, points=points, p_value=p_value)
    templating.globals.update(band=band, percent_band=percent_band)
    return templating


def _copy_figures(figures: Sequence[Path], templates: Path, site: Path) -> list[tuple[str, str]]:
    """Copy the figures that show something; return name and caption of each, in the order of the page."""
    (site / "figures").mkdir(parents=True, exist_ok=True)
    files = {figure.stem: figure for figure in figures if not is_blank(figure)}
    shown = [(name, text) for name, text in captions(templates.parent / "figures").items() if name in files]
    for name, _ in shown:
        shutil.copyfile(files[name], site / "figures" / f"{name}.svg")
    return shown


def _write_images(rows: np.ndarray, samples: Sequence[str], folder: Path) -> None:
    """Write the images of samples as JPEG files; the more there are, the smaller they are."""
    folder.mkdir(parents=True, exist_ok=True)
    size, quality = next(kind for most, *kind in THUMBNAILS if len(rows) <= most)
    for table in SampleStore(samples).read(rows, ["image"]):
        for row, encoded in zip(table["row"].to_pylist(), table["image"].to_pylist(), strict=True):
            image = decode_rgb(encoded)
            image.thumbnail((size, size))
            buffer = io.BytesIO()
            image.save(buffer, format="JPEG", quality=quality)
            (folder / f"{row}.jpg").write_bytes(buffer.getvalue())
