"""Reports of made-up results, for looking at pages without a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dejavu.report.queries import Queries
from dejavu.report.site import write_site
from dejavu.tables import DATABASE
from dejavu.tables.data import OBJECTS, SAMPLES
from tests.harness.databases import write_database
from tests.harness.pictures import encoded_image
from tests.harness.project import ROOT

MODEL, EPOCH, K = "made", 1, 10
FILE = 7
PUBLIC = 50


def write_report(
    folder: Path,
    captions: Sequence[str],
    labels: Sequence[str],
    *,
    k: int = K,
    more: Mapping[str, Sequence[dict]] | None = None,
) -> Path:
    """Write a report whose gallery shows one training sample of role a for each caption, and return its folder.

    Every sample shows the labels of three places in a row; every public image too. Side a finds one object more than
    side b for all of them.

    Args:
        folder: where database, samples and report are written.
        captions: the captions of the samples.
        labels: the labels of the objects, three at least.
        k: number of neighbours of each sample under each side.
        more: further tables -> their rows, without the model where they are of one.
    """
    number = len(captions)
    roles = ["a"] * number + ["public"] * PUBLIC
    texts = [*captions, *(captions[i % number] for i in range(PUBLIC))]
    rows = (FILE << 32) + np.arange(len(roles), dtype=np.int64)
    shown = [[labels[(i + j) % len(labels)] for j in range(3)] for i in range(len(roles))]
    samples = [
        {"row": row, "uid": f"uid of {text}"[:300], "role": role, "caption": text, "objects": objects}
        | {"unnamed": objects[:2], "group_id": f"group {row}"}
        for row, role, text, objects in zip(rows.tolist(), roles, texts, shown, strict=True)
    ]
    database = write_database(
        folder / "memorization.duckdb",
        {
            "samples": samples,
            "sides": [{"model": MODEL, "side": side, "kind": "trained"} for side in "ab"],
            "population_gaps": [{"model": MODEL, "epoch": EPOCH, "population": "symmetric"}],
            "sample_scores": _scores(rows[:number], k),
            "neighbors": _neighbors(rows[:number], rows[number:], k),
            "sample_memorization": _evidence(rows[:number]),
            "remembered_shares": [{"model": MODEL, "epoch": EPOCH, "statistic": "recall", "query": "caption"} | SHARES],
            "stages": [{"stage": "duplicates", "subject": "made", "rows_in": len(roles), "rows_out": len(roles)}],
            **{name: [{"model": MODEL, "epoch": EPOCH, **row} for row in rows] for name, rows in (more or {}).items()},
        },
        report__k=k,
        report__gallery=number,
        measure__samplings__fraction=0.1,
        measure__score_threshold=0.5,
    )
    tables = _write_samples(folder, rows, texts, shown)
    site = folder / "report"
    templates = ROOT / "workflow" / "report" / "site"
    queries = Queries(database, ROOT / "workflow" / "sql")
    write_site(queries, [], [tables[0]], templates, site, title=captions[0][:40], objects=[tables[1]])
    return site


SHARES = {
    "replicates": 1,
    "samples": 9,
    "control": 9,
    "rate": 0.1,
    "listed": 1,
    "listed_placebo": 0.0,
    "share_low": 0.1,
}


def _scores(rows: np.ndarray, k: int) -> pa.Table:
    parts = []
    for scope, more in (("all", 2), ("unnamed", 1)):
        values = {"model": MODEL, "epoch": EPOCH, "population": "a", "query": "caption", "k": k, "labels": "all"}
        parts.append({**values, "scope": scope, "row": rows, "objects_n": 3, "correct_a": more, "correct_b": 0})
    return pa.concat_tables([_table("sample_scores", part, len(rows)) for part in parts])


def _neighbors(rows: np.ndarray, public: np.ndarray, k: int) -> pa.Table:
    ranks = np.tile(np.arange(1, k + 1, dtype=np.int32), len(rows))
    values = {"model": MODEL, "epoch": EPOCH, "population": "a", "query": "caption", "row": np.repeat(rows, k)}
    near = public[(np.repeat(np.arange(len(rows)), k) + ranks) % len(public)]
    more = {"rank": ranks, "public_row": near, "similarity": (1 / (1 + ranks)).astype(np.float32)}
    parts = [_table("neighbors", {**values, **more, "side": side}, len(ranks)) for side in "ab"]
    return pa.concat_tables(parts)


def _evidence(rows: np.ndarray) -> pa.Table:
    values = {"model": MODEL, "epoch": EPOCH, "statistic": "recall", "query": "caption", "population": "a", "row": rows}
    p = (np.arange(len(rows)) + 1) / (len(rows) + 1)
    return _table(
        "sample_memorization", {**values, "replicates": 1, "advantage": 1 - p, "p_value": p, "q_value": p}, len(p)
    )


def _table(name: str, values: dict, number: int) -> pa.Table:
    """A table of the database; a value that is no array fills its column, a column without values is null."""
    columns = []
    for column in DATABASE[name][1]:
        value = values.get(column.name)
        cells = value if isinstance(value, np.ndarray) else [value] * number
        columns.append(pa.array(cells, column.type))
    return pa.table(columns, schema=DATABASE[name][1])


def _write_samples(
    folder: Path, rows: np.ndarray, captions: Sequence[str], shown: Sequence[Sequence[str]]
) -> list[str]:
    """Write the tables of samples and objects, each a folder with one file, and return the folders."""
    image = encoded_image(0, 64, 48, kind="JPEG")
    samples = [
        {"row": row, "uid": "", "caption": caption, "image": image, "width": 64, "height": 48}
        for row, caption in zip(rows.tolist(), captions, strict=True)
    ]
    objects = [
        {"row": row, "objects": [{"label": label, "score": 1.0, "box": [8.0, 6.0, 40.0, 30.0]} for label in labels]}
        for row, labels in zip(rows.tolist(), shown, strict=True)
    ]
    folders = []
    for name, records, schema in (("samples", samples, SAMPLES), ("objects", objects, OBJECTS)):
        (folder / name).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(records, schema), folder / name / f"{FILE:08x}.parquet")
        folders.append(str(folder / name))
    return folders
