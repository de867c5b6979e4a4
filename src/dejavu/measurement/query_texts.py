"""What parts of captions models are asked with: the texts of the queries ``remainder`` and ``rare``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from dejavu.data.samples import SampleStore
from dejavu.files import read_table, write_table
from dejavu.measurement.options import Measure
from dejavu.measurement.shown_labels import vocabulary
from dejavu.memorization.labels import NamedInCaption, Normalizer
from dejavu.memorization.tokens import words_of
from dejavu.progress import Progress, say
from dejavu.tables.queries import RARE, REMAINDER
from dejavu.tables.retrieval import QUERY_TEXTS

# a word is rare that stands in no more than this share of the captions, or in one
RARE_SHARE = 0.01


def write_query_texts(
    manifests: Sequence[Path],
    samples: Sequence[str],
    objects: Sequence[str],
    texts: Path,
    *,
    measure: Measure,
    title: str,
) -> None:
    """Write the remainder and the rare words of every caption of the roles.

    The remainder is the caption without what names any label that an image of these roles shows; rare words are those
    that few captions of these roles hold. So what is taken does not depend on the role of a caption. A caption that
    would be empty stays whole.

    Args:
        manifests: of the roles whose captions are queries.
        samples, objects: batch folders.
        texts: parquet file to write, schema ``QUERY_TEXTS``, by row.
        measure: its score threshold, synonyms and caption words are used.
        title: for the progress lines.
    """
    rows = np.sort(np.concatenate([read_table(path, ["row"])["row"].to_numpy() for path in manifests]))
    normalizer = Normalizer(measure.synonyms)
    shown = vocabulary(objects, rows, measure.score_threshold, normalizer)
    named = NamedInCaption(shown, normalizer, measure.caption_words)
    store = SampleStore(samples)
    frequency = word_frequency(
        caption for table in store.read(rows, ["caption"]) for caption in table["caption"].to_pylist()
    )
    progress = Progress(title, len(rows), "captions")
    whole = 0

    def parts() -> Iterator[pa.Table]:
        nonlocal whole
        for table in store.read(rows, ["caption"]):
            captions = table["caption"].to_pylist()
            left = [named.remainder(caption) for caption in captions]
            whole += left.count("")
            columns = {
                REMAINDER: [rest or caption for rest, caption in zip(left, captions, strict=True)],
                RARE: [rare_words(caption, frequency, len(rows)) or caption for caption in captions],
            }
            yield pa.table({"row": table["row"], **columns}, schema=QUERY_TEXTS)
            progress.advance(table.num_rows)

    write_table(texts, parts(), QUERY_TEXTS)
    progress.finish()
    if whole:
        say(f"[{title}] {whole:,} captions hold nothing but names of objects: their remainder is the whole caption")


def word_frequency(captions: Iterable[str]) -> Counter[str]:
    """Return word -> number of captions that hold it."""
    return Counter(word for caption in captions for word in set(words_of(caption)))


def rare_words(caption: str, frequency: Mapping[str, int], number: int) -> str:
    """Return the words of a caption that few captions hold, or else its rarest; in order, with blanks between them.

    Args:
        caption: the caption.
        frequency: word -> number of captions that hold it.
        number: of captions.
    """
    words = words_of(caption)
    rarest = min((frequency[word] for word in words), default=0)
    most = max(1, RARE_SHARE * number, rarest)
    return " ".join(word for word in words if frequency[word] <= most)
