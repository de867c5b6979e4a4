"""The samples of a split and the roles that they have, for the database."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from dejavu.data.samples import SampleStore
from dejavu.data.split import manifest_counts
from dejavu.database.run import Run
from dejavu.files import read_table
from dejavu.measurement.shown_labels import normal_objects
from dejavu.memorization.labels import NamedInCaption, Normalizer
from dejavu.tables.database import DATABASE
from dejavu.tables.fields import ROLES


def role_rows(run: Run) -> Iterator[dict]:
    """Yield the rows of the table ``roles``."""
    for role in ROLES:
        counts = manifest_counts(run.manifest(role))
        yield {
            "role": role,
            "dataset": run.config["splits"][run.split_folder.name]["roles"][role]["dataset"],
            "samples": counts["rows_out"],
            "listed": counts.get("listed"),
            "missing": counts.get("missing"),
        }


def sample_tables(run: Run) -> Iterator[pa.Table]:
    """Yield the table ``samples`` in parts, role by role, each by row."""
    measure = run.config["measure"]
    normalizer = Normalizer(measure["synonyms"])
    schema = DATABASE["samples"][1]
    searched = _labels_of(run, "public", normalizer)
    for role in ROLES:
        manifest = read_table(run.manifest(role)).sort_by("row")
        rows = manifest["row"].to_numpy()
        found = dict(normal_objects(run.folders("objects"), rows, measure["score_threshold"], normalizer))
        # the vocabulary that this role is scored with, since a caption's words are used up by the longest label
        names = searched.union(*found.values()) - {""}
        named_in = NamedInCaption(names, normalizer, measure["caption_words"])
        start = 0
        for table in SampleStore(run.folders("samples")).read(rows, ["caption"]):
            here = manifest.slice(start, table.num_rows)
            start += table.num_rows
            if not np.array_equal(here["row"].to_numpy(), table["row"].to_numpy()):
                raise ValueError(f"the samples of role {role} came back in another order than the manifest's")
            objects = [sorted(set(found[row]) - {""}) for row in here["row"].to_pylist()]
            named = [named_in(caption) for caption in table["caption"].to_pylist()]
            columns = {
                "row": here["row"],
                "uid": here["uid"],
                "role": [role] * here.num_rows,
                "caption": table["caption"],
                "objects": objects,
                "unnamed": [[o for o in shown if o not in out] for shown, out in zip(objects, named, strict=True)],
                "group_id": here["group_id"],
            }
            yield pa.table(columns, schema=schema)


def _labels_of(run: Run, role: str, normalizer: Normalizer) -> set[str]:
    """The normal labels that the images of a role show."""
    rows = np.sort(read_table(run.manifest(role), ["row"])["row"].to_numpy())
    shown = normal_objects(run.folders("objects"), rows, run.config["measure"]["score_threshold"], normalizer)
    return {label for _, labels in shown for label in labels}
