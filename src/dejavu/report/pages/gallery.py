"""The gallery: samples with the largest gaps, their neighbours under both sides, and the same choice on the holdout.

The samples are written as a script file, which the page reads: pages that are opened from disk may not fetch data, and
thousands of samples as HTML would be slow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dejavu.data.samples import SampleStore
from dejavu.memorization.verdicts import QUERY_NAMES
from dejavu.report.queries import Queries
from dejavu.report.summary import band

# Most images of the gallery, which must not be too large to send; further neighbours are shown by their captions.
MOST_IMAGES = 50_000


def gallery(queries: Queries, samples: Sequence[str], objects: Sequence[str]) -> dict[str, Any]:
    """Return what the gallery shows.

    Args:
        queries: the queries on the database.
        samples, objects: folders of the tables of samples and objects, one for each batch of files.

    Returns:
        ``shown``, the data of the script file, and what the page itself says.
    """
    items = queries.rows("gallery")
    luck = queries.rows("gallery_luck")
    limits = {item["model"]: item["gap"] for item in items if item["population"] != "holdout"}
    return {
        "shown": _shown(queries, items, luck, samples, objects),
        "samples_n": len(items),
        "luck": [row for row in luck if row["gap"] == limits.get(row["model"])],
        "chosen": _chosen(queries),
        "one_model_samples": any(item["is_one_model"] for item in items),
    }


def image_rows(context: Mapping[str, Any]) -> np.ndarray:
    """Return the rows of the samples whose images the gallery shows; int64, sorted."""
    shown = context["shown"]
    rows = {int(sample["row"]) for sample in shown["samples"]}
    rows |= {int(image["row"]) for image in shown["public"] if image["hasImage"]}
    return np.array(sorted(rows), dtype=np.int64)


def trained_samples(context: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return model and row of the training samples that the gallery shows."""
    return {(s["model"], s["row"]) for s in context["shown"]["samples"] if s["role"] != "holdout"}


def _shown(
    queries: Queries, items: Sequence[dict], luck: Sequence[dict], samples: Sequence[str], objects: Sequence[str]
) -> dict[str, Any]:
    """Return the data of the script file.

    Rows are strings, because they exceed the whole numbers that a browser holds exactly.

    Returns:
        ``public``, the public images with row, caption and objects; ``samples``, each with its neighbours by side (for
        each its place in ``public`` and its similarity times 1,000, one after the other, because a browser reads a long
        flat list much faster than many short ones), its boxes and its evidence; ``queries``, the names of queries.
    """
    rows = pa.table({"model": [i["model"] for i in items], "row": pa.array([i["row"] for i in items], pa.int64())})
    neighbors, public = _neighbors(queries, rows)
    evidence: dict[tuple, list[dict]] = {}
    for line in queries.rows("gallery_evidence", gallery_rows=rows):
        evidence.setdefault((line.pop("model"), line.pop("row")), []).append(line)
    boxes = _boxes(np.unique(rows["row"].to_numpy()), samples, objects, queries.config("measure.score_threshold"))
    by_gap = {(row["model"], row["gap"]): row["luck"] for row in luck}
    shown = []
    for item in items:
        key = item["model"], item["row"]
        shown.append(
            {
                **{
                    name: item[name]
                    for name in ("model", "place", "side", "gap", "uid", "caption", "objects", "unnamed")
                },
                "role": item["population"],
                "row": str(item["row"]),
                "oneModel": item["is_one_model"],
                "luck": None if item["population"] == "holdout" else by_gap.get((item["model"], item["gap"])),
                "neighbors": {side: neighbors.get((*key, side), []) for side in "ab"},
                "boxes": boxes.get(item["row"], []),
                "evidence": evidence.get(key, []),
            }
        )
    return {"public": public, "samples": shown, "queries": QUERY_NAMES}


def _neighbors(queries: Queries, rows: pa.Table) -> tuple[dict[tuple, list[int]], list[dict]]:
    """Return (model, row, side) -> its nearest public images in order, and the images that these lists point into.

    A list has two whole numbers for each image: its place, and its similarity times 1,000.
    """
    places: dict[int, int] = {}
    public: list[dict] = []
    neighbors: dict[tuple, list[int]] = {}
    for line in queries.rows("gallery_neighbors", gallery_rows=rows):
        row = line["public_row"]
        if row not in places:
            places[row] = len(public)
            known = {"row": str(row), "caption": line["caption"], "objects": line["objects"]}
            public.append({**known, "hasImage": len(public) + len(rows) < MOST_IMAGES})
        near = neighbors.setdefault((line["model"], line["row"], line["side"]), [])
        near += (places[row], round(1000 * line["similarity"]))
    return neighbors, public


def _boxes(
    rows: np.ndarray, samples: Sequence[str], objects: Sequence[str], threshold: float
) -> dict[int, list[list[Any]]]:
    """Return row -> its objects with boxes: label, then left, top, width and height in per cent of the image."""
    found: dict[int, list[dict]] = {}
    for table in SampleStore(objects).read(rows, ["objects"]) if objects else ():
        for record in table.to_pylist():
            kept = [o for o in record["objects"] or [] if o["box"] is not None and (o["score"] or 0) >= threshold]
            if kept:
                found[record["row"]] = kept
    boxes: dict[int, list[list[Any]]] = {}
    for table in SampleStore(samples).read(np.array(sorted(found), dtype=np.int64), ["width", "height"]):
        for record in table.to_pylist():
            if record["width"] and record["height"]:
                size = record["width"], record["height"]
                boxes[record["row"]] = [[o["label"], *_share(o["box"], *size)] for o in found[record["row"]]]
    return boxes


def _share(box: Sequence[float], width: int, height: int) -> list[float]:
    left, top, right, bottom = box
    places = (left / width, top / height, (right - left) / width, (bottom - top) / height)
    return [round(100 * min(1.0, max(0.0, place)), 1) for place in places]


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
