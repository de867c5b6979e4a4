"""The samples of a split and the roles that they have, for the database."""

from __future__ import annotations

from collections.abc import Iterator, Set

import duckdb
import numpy as np
import pyarrow as pa

from dejavu.data.samples import SampleStore
from dejavu.data.split import manifest_counts
from dejavu.database.run import Run
from dejavu.files import NUMBERS_PER_GROUP, read_table
from dejavu.measurement.shown_labels import normal_objects, vocabulary
from dejavu.memorization.labels import NamedInCaption, Normalizer
from dejavu.tables.database import DATABASE
from dejavu.tables.roles import SHARED

# sorted on disk where memory is short
_BY_ROW = "SELECT row, uid, group_id FROM read_parquet(?) ORDER BY row"


def role_rows(run: Run) -> Iterator[dict]:
    """Yield the rows of the table ``roles``."""
    for role in run.roles:
        counts = manifest_counts(run.manifest(role))
        is_asked = role in run.asked
        yield {
            "role": role,
            "dataset": run.config["splits"][run.split]["roles"][role]["dataset"],
            "samples": counts["rows_out"],
            "asked": manifest_counts(run.used_manifest(role))["rows_out"] if is_asked else None,
            "listed": counts.get("listed"),
            "missing": counts.get("missing"),
        }


def public_labels(run: Run) -> set[str]:
    """Return all normal labels that the public images show."""
    public = read_table(run.manifest("public"), ["row"])["row"].to_numpy()
    return vocabulary(run.folders("objects"), public, *_reading(run))


def sample_tables(
    run: Run, role: str, connection: duckdb.DuckDBPyConnection, of_public: Set[str]
) -> Iterator[pa.Table]:
    """Yield the rows of the table ``samples`` of one role, by row; 8 bytes of every sample are held.

    Objects are null of shared samples, since nothing asks for them.

    Args:
        run: the files of the split.
        role: whose samples: of a query role those that are asked about.
        connection: sorts the manifest.
        of_public: what :func:`public_labels` returns.
    """
    manifest = run.used_manifest(role)
    rows = np.sort(read_table(manifest, ["row"])["row"].to_numpy())
    sorting = connection.cursor()
    members = _Slices(sorting.sql(_BY_ROW, params=[str(manifest)]).to_arrow_reader(NUMBERS_PER_GROUP))
    objects_of = None if role == SHARED else _Objects(run, rows, of_public)
    for table in SampleStore(run.folders("samples")).read(rows, ["caption"]):
        part = members.next(table.num_rows)
        if not part["row"].equals(table["row"]):
            raise ValueError(f"the samples of role {role} came back in another order than the manifest's")
        nothing = [None] * table.num_rows
        objects, unnamed = objects_of.next(table) if objects_of else (nothing, nothing)
        columns = {
            "row": part["row"],
            "uid": part["uid"],
            "role": [role] * part.num_rows,
            "caption": table["caption"],
            "objects": objects,
            "unnamed": unnamed,
            "group_id": part["group_id"],
        }
        yield pa.table(columns, schema=DATABASE["samples"][1])


class _Objects:
    """The objects of samples, a few at a time: all of them, and those that the captions do not name.

    Args:
        run: the files of the split.
        rows: int64, ascending: the samples.
        of_public: the labels of the public images.
    """

    def __init__(self, run: Run, rows: np.ndarray, of_public: Set[str]) -> None:
        folders, (threshold, normalizer) = run.folders("objects"), _reading(run)
        # the vocabulary that this role is scored with, since a caption's words are used up by the longest label
        names = of_public | vocabulary(folders, rows, threshold, normalizer)
        self._named_in = NamedInCaption(names, normalizer, run.config["measure"]["caption_words"])
        self._labels = normal_objects(folders, rows, threshold, normalizer)

    def next(self, samples: pa.Table) -> tuple[list[list[str]], list[list[str]]]:
        """Return the objects of the next samples, and those of them that their captions do not name."""
        labels = [next(self._labels) for _ in range(samples.num_rows)]
        if samples["row"].to_pylist() != [row for row, _ in labels]:
            raise ValueError("the objects of samples came back in another order than the samples")
        objects = [sorted(set(of_sample) - {""}) for _, of_sample in labels]
        named = [self._named_in(caption) for caption in samples["caption"].to_pylist()]
        return objects, [[o for o in of_one if o not in out] for of_one, out in zip(objects, named, strict=True)]


def _reading(run: Run) -> tuple[float, Normalizer]:
    measure = run.config["measure"]
    return measure["score_threshold"], Normalizer(measure["synonyms"])


class _Slices:
    """The next rows of a stream of batches, as many at a time as are asked for."""

    def __init__(self, batches: pa.RecordBatchReader) -> None:
        self._batches = batches
        self._held = pa.Table.from_batches([], batches.schema)

    def next(self, number: int) -> pa.Table:
        while self._held.num_rows < number:
            batch = self._batches.read_next_batch()
            self._held = pa.concat_tables([self._held, pa.Table.from_batches([batch])])
        part, self._held = self._held.slice(0, number), self._held.slice(number)
        return part
