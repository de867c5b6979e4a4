"""The page on the data: roles, duplicates, and the objects that captions do not name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from dejavu.data.samples import SampleStore
from dejavu.report.queries import Queries

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


def data(queries: Queries, samples: Sequence[str]) -> dict[str, Any]:
    """Return what the page on the data shows.

    Args:
        queries: the queries on the database.
        samples: folders of the samples table, with the captions of samples that have no role.
    """
    sizes = queries.rows("group_sizes")
    return {
        "group_sizes": sizes,
        "size_sentence": _size_sentence(sizes),
        "duplicates": queries.rows("duplicates"),
        "criteria_texts": CRITERIA_TEXTS,
        "duplicate_groups": _duplicate_groups(queries, samples),
        "unnamed": queries.rows("unnamed_labels"),
    }


def member_rows(context: Mapping[str, Any]) -> np.ndarray:
    """Return the rows of the samples whose images the page shows; int64."""
    return np.array([m["row"] for group in context["duplicate_groups"] for m in group["members"]], dtype=np.int64)


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


def _duplicate_groups(queries: Queries, samples: Sequence[str]) -> list[dict]:
    """Return the largest duplicate groups, each with row, uid and caption of a few members."""
    groups = queries.rows("duplicate_groups")
    rows = np.array([row for group in groups for row in group["members"]], dtype=np.int64)
    by_row: dict[int, dict] = {}
    for table in SampleStore(samples).read(np.unique(rows), ["uid", "caption"]):
        by_row.update((record["row"], record) for record in table.to_pylist())
    return [{**group, "members": [by_row[row] for row in group["members"]]} for group in groups]
