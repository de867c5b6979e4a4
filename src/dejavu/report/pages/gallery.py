"""The gallery: training samples with the largest gaps, with their neighbours under both sides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dejavu.report.queries import Queries
from dejavu.report.summary import band


def gallery(queries: Queries) -> dict[str, Any]:
    """Return what the gallery shows."""
    return {"gallery": _gallery(queries), "chosen": _chosen(queries)}


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


def image_rows(context: Mapping[str, Any]) -> np.ndarray:
    """Return the rows of the samples whose images the gallery shows; int64, sorted."""
    items = [item for of_model in context["gallery"].values() for item in of_model]
    rows = {item["row"] for item in items}
    rows |= {n["public_row"] for item in items for side in item["sides"].values() for n in side["neighbors"]}
    return np.array(sorted(rows), dtype=np.int64)
