"""The static site: one page that opens from disk without a network, and the files that it shows in the same folder."""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import jinja2
import numpy as np
import pyarrow as pa
from scipy import stats

from dejavu.data.images import decode_rgb
from dejavu.data.samples import SampleStore
from dejavu.files import write_text
from dejavu.memorization.metrics import METRIC_NAMES, METRICS
from dejavu.memorization.verdicts import QUERY_NAMES, SCOPE_NAMES
from dejavu.report.captions import captions, is_blank
from dejavu.report.queries import Queries
from dejavu.report.recipes import recipe_changes
from dejavu.report.summary import band, number, one_models, p_value, verdicts
from dejavu.report.tradeoff import cost, percent, percent_band, points, tradeoff
from dejavu.tables.fields import SIDES

THUMBNAIL = 192
# p-value below which the page says that sizes of groups differ between two roles: 5 %, for three pairs of roles.
SIZES_DIFFER = 0.05 / 3

CRITERIA_TEXTS = {
    "copy": "the same key, image and caption",
    "origin": "captions of one raw row",
    "key": "the same key",
    "image": "the same pixels, however encoded",
    "caption": "the same caption but for case and white space",
    "near_image": "an image that looks the same",
}


def write_site(
    queries: Queries, figures: Sequence[Path], samples: Sequence[str], templates: Path, site: Path, *, title: str
) -> None:
    """Write ``index.html`` with its style, figures and images into the folder ``site``.

    Captions, labels and names are untrusted: the templates escape all of them, and images are encoded again.

    Args:
        queries: the queries on the database.
        figures: SVG files to show; blank ones are left out.
        samples: folders of the samples table, one for each batch of files, with the images that the page shows.
        templates: folder with ``index.html.j2`` and ``style.css``, beside the folder ``figures`` with the captions.
        site: folder of the site, created if needed.
        title: heading of the page.
    """
    (site / "figures").mkdir(parents=True, exist_ok=True)
    files = {figure.stem: figure for figure in figures if not is_blank(figure)}
    shown = [(name, text) for name, text in captions(templates.parent / "figures").items() if name in files]
    for name, _ in shown:
        shutil.copyfile(files[name], site / "figures" / f"{name}.svg")
    shutil.copyfile(templates / "style.css", site / "style.css")
    gallery = _gallery(queries)
    groups = _duplicate_groups(queries, samples)
    members = np.array([m["row"] for group in groups for m in group["members"]], dtype=np.int64)
    _write_images(np.union1d(_image_rows(gallery), members), samples, site / "images")
    results, sizes = queries.rows("result_table"), queries.rows("group_sizes")
    fraction = queries.config("measure.samplings.fraction")
    measured = {row["model"] for row in results}
    of_one_model = measured & one_models(queries)
    page = (
        environment(templates)
        .get_template("index.html.j2")
        .render(
            title=title,
            verdicts=verdicts(queries),
            asked=queries.rows("asked_roles"),
            training_sets=queries.rows("training_sets"),
            lists=queries.rows("listed_roles"),
            checkpoints=queries.rows("checkpoints"),
            by_chance=_is_by_chance(queries),
            fraction=fraction,
            samplings_spread=math.sqrt((1 - fraction) / fraction),
            results=results,
            one_model=bool(of_one_model),
            one_model_names=of_one_model,
            families=queries.rows("families"),
            bands={row["model"]: row for row in results},
            strata=any(row["is_listed"] for row in queries.rows("query_roles")),
            group_sizes=sizes,
            size_sentence=_size_sentence(sizes),
            query_names=QUERY_NAMES,
            two_models=bool(measured - of_one_model),
            draws=queries.config("measure.bootstrap"),
            band=band,
            metric_names=METRIC_NAMES,
            metrics=[metric for metric in METRICS if metric.is_tested],
            scope_names=SCOPE_NAMES,
            k=queries.config("report.k"),
            labels=queries.config("report.labels"),
            figures=shown,
            gallery=gallery,
            unnamed=queries.rows("unnamed_labels"),
            chosen=_chosen(queries),
            utility=queries.rows("utility"),
            tradeoff=tradeoff(queries),
            cost=cost,
            percent_band=percent_band,
            points=points,
            seeds=[row for row in queries.rows("seed_spread") if row["scope"] == "all"],
            attacks=queries.rows("attacks"),
            recipes=queries.rows("recipe_intervals"),
            recipe_changes=recipe_changes(queries),
            shares=queries.rows("remembered_shares"),
            confirmations=queries.rows("confirmations"),
            listed=queries.rows("listed_samples"),
            privacy=queries.rows("privacy"),
            duplicates=queries.rows("duplicates"),
            criteria_texts=CRITERIA_TEXTS,
            duplicate_groups=groups,
            stages=queries.rows("stages"),
            config=queries.config_rows(),
        )
    )
    write_text(site / "index.html", page)


def environment(templates: Path) -> jinja2.Environment:
    """Return an environment for the templates of a folder that escapes every value."""
    templating = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templating.filters["number"] = number
    templating.filters["percent"] = percent
    templating.filters["points"] = points
    templating.filters["p_value"] = p_value
    return templating


def _is_by_chance(queries: Queries) -> bool:
    """Return whether the split drew both training roles, from one dataset, so that chance decides who is in which."""
    trained = [row for row in queries.rows("query_roles") if row["role"] in SIDES]
    return not any(row["is_listed"] for row in trained) and len({row["dataset"] for row in trained}) == 1


def _size_sentence(groups: Sequence[Mapping]) -> str:
    """Return a sentence on whether sizes of duplicate groups differ between roles, by Mann–Whitney tests of groups."""
    sizes = {row["role"]: row["sizes"] for row in groups}
    tests = []
    for first, second in (("a", "b"), ("a", "holdout"), ("b", "holdout")):
        if len({*sizes.get(first, []), *sizes.get(second, [])}) > 1 and sizes.get(first) and sizes.get(second):
            p = stats.mannwhitneyu(sizes[first], sizes[second]).pvalue
            tests.append(f"{first} against {second} p {p:.2g}{' (they differ)' if p < SIZES_DIFFER else ''}")
    if not tests:
        return "All groups are of one size."
    return f"Are groups of one role larger than those of another? {'; '.join(tests)} (Mann–Whitney)."


def _gallery(queries: Queries) -> dict[str, list[dict]]:
    """Return model -> its most memorized samples, each with its neighbours under both sides and the shared objects."""
    items = queries.rows("gallery")
    rows = pa.table({"model": [i["model"] for i in items], "row": pa.array([i["row"] for i in items], pa.int64())})
    neighbors: dict[tuple, list[dict]] = {}
    for neighbor in queries.rows("gallery_neighbors", gallery_rows=rows):
        neighbors.setdefault((neighbor["model"], neighbor["row"], neighbor["side"]), []).append(neighbor)
    gallery: dict[str, list[dict]] = {}
    for item in items:
        named = set(item["objects"]) - set(item["unnamed"])
        sides = {
            side: _side(neighbors.get((item["model"], item["row"], side), []), item["objects"], named) for side in "ab"
        }
        own = item["population"]
        entry = {
            **item,
            "truth": _marked(item["objects"], named),
            "sides": sides,
            "own": own,
            "other": "b" if own == "a" else "a",
        }
        gallery.setdefault(item["model"], []).append(entry)
    return gallery


def _duplicate_groups(queries: Queries, samples: Sequence[str]) -> list[dict]:
    """Return the largest duplicate groups, each with row, uid and caption of a few members."""
    groups = queries.rows("duplicate_groups")
    rows = np.array([row for group in groups for row in group["members"]], dtype=np.int64)
    by_row: dict[int, dict] = {}
    for table in SampleStore(samples).read(np.unique(rows), ["uid", "caption"]):
        by_row.update((record["row"], record) for record in table.to_pylist())
    return [{**group, "members": [by_row[row] for row in group["members"]]} for group in groups]


def _chosen(queries: Queries) -> list[dict]:
    """Return for each model the recall gap of the queries with the largest gaps, and its control.

    Choosing the largest gaps selects noise as well, so the gallery shows these two numbers. The fraction of the queries
    is the middle one of ``measure.top_l``.
    """
    rows = [r for r in queries.rows("top_l") if r["sort"] == "gap" and r["unit"] == "fraction"]
    entries: dict[tuple, dict] = {}
    for row in rows:
        if row["population"] in ("symmetric", "holdout_symmetric"):
            entry = entries.setdefault((row["model"], row["l"]), {"model": row["model"], "l": row["l"]})
            entry[row["shown_as"]] = row["recall_gap"]
            entry[f"{row['shown_as']}_band"] = band(row["recall_gap_low"], row["recall_gap_high"])
    fractions = sorted({fraction for _, fraction in entries})
    middle = fractions[len(fractions) // 2] if fractions else None
    return [
        entry for (_, fraction), entry in entries.items() if fraction == middle and {"gap", "control"} <= set(entry)
    ]


def _marked(labels: Iterable[str], named: set[str]) -> list[tuple[str, str]]:
    """Return each label with its mark, ``named`` or ``unnamed`` by the caption; unnamed labels come first."""
    return sorted(
        ((label, "named" if label in named else "unnamed") for label in labels), key=lambda m: (m[1] == "named", m[0])
    )


def _side(neighbors: Sequence[dict], truth: Sequence[str], named: set[str]) -> dict:
    shared = [{**n, "shared": _marked(set(n["objects"]) & set(truth), named)} for n in neighbors]
    predicted = {label for n in neighbors for label in n["objects"]} & set(truth)
    return {"neighbors": shared, "found": _marked(predicted, named)}


def _image_rows(gallery: dict[str, list[dict]]) -> np.ndarray:
    rows = {item["row"] for items in gallery.values() for item in items}
    rows |= {
        n["public_row"]
        for items in gallery.values()
        for i in items
        for s in i["sides"].values()
        for n in s["neighbors"]
    }
    return np.array(sorted(rows), dtype=np.int64)


def _write_images(rows: np.ndarray, samples: Sequence[str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for table in SampleStore(samples).read(rows, ["image"]):
        for row, data in zip(table["row"].to_pylist(), table["image"].to_pylist(), strict=True):
            image = decode_rgb(data)
            image.thumbnail((THUMBNAIL, THUMBNAIL))
            buffer = io.BytesIO()
            image.save(buffer, format="JPEG", quality=90)
            (folder / f"{row}.jpg").write_bytes(buffer.getvalue())
