"""What is left of captions without the words that name objects: the texts of the query ``remainder``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from dejavu.data.samples import SampleStore
from dejavu.files import read_table, write_table
from dejavu.memorization.labels import NamedInCaption, Normalizer
from dejavu.progress import Progress, say
from dejavu.studies.scoring import Measure, normal_objects
from dejavu.tables.retrieval import REMAINDERS


def write_remainders(
    manifests: Sequence[Path],
    samples: Sequence[str],
    objects: Sequence[str],
    remainders: Path,
    *,
    measure: Measure,
    title: str,
) -> None:
    """Writes the remainder of every caption of the roles.

    What is taken out is what names any label that an image of these roles shows, so that the words do not depend on
    the role of a caption. Where nothing would be left the caption stays whole.

    Args:
        manifests: of the roles whose captions are queries.
        samples, objects: batch folders.
        remainders: parquet file to write, schema ``REMAINDERS``, by row.
        measure: its score threshold and synonyms are used.
        title: for the progress lines.
    """
    rows = np.sort(np.concatenate([read_table(path, ["row"])["row"].to_numpy() for path in manifests]))
    normalizer = Normalizer(measure.synonyms)
    shown: set[str] = set()
    for _, labels in normal_objects(objects, rows, measure.score_threshold, normalizer):
        shown.update(labels)
    named = NamedInCaption(sorted(shown - {""}), normalizer)
    progress = Progress(title, len(rows), "captions")
    whole = 0

    def parts() -> Iterator[pa.Table]:
        nonlocal whole
        for table in SampleStore(samples).read(rows, ["caption"]):
            captions = table["caption"].to_pylist()
            left = [named.remainder(caption) for caption in captions]
            whole += left.count("")
            texts = [rest or caption for rest, caption in zip(left, captions, strict=True)]
            yield pa.table({"row": table["row"], "text": texts}, schema=REMAINDERS)
            progress.advance(table.num_rows)

    write_table(remainders, parts(), REMAINDERS)
    progress.finish()
    if whole:
        say(f"[{title}] {whole:,} captions hold nothing but names of objects, and are asked with as they are")
