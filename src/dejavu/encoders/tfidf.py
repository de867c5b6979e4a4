"""TF-IDF as the reference of a one-model test: it finds public captions, and has never seen an image.

In "Measuring Déjà vu Memorization Efficiently" (arXiv 2504.05651) a text encoder stands in for the second model where
none can be trained. TF-IDF is built in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfVectorizer

from dejavu.data.samples import SampleStore
from dejavu.errors import InputError
from dejavu.files import first_line, read_table
from dejavu.memorization.scripts import UNSPACED
from dejavu.progress import say
from dejavu.retrieval.neighbors import write_found
from dejavu.retrieval.sparse import blocks, nearest_sparse

# of the search, as neighbours files note it
ENGINE = "sparse"


def tfidf_neighbors(
    queries: Path, public: Path, samples: Sequence[str], neighbors: Path, *, k: int, title: str
) -> None:
    """Write the public samples whose captions are nearest to each query's caption, by cosine of TF-IDF vectors.

    Terms are words of at least two characters in lower case, and in scripts without blanks between words neighbouring
    characters, see :func:`terms`. Vocabulary and document frequencies come from the public captions alone, so that the
    reference knows nothing of the training captions. Vectors are float32; their float64 products rank the captions, of
    equal ones the lower row first.

    Args:
        queries, public: manifests.
        samples: batch folders of the samples table.
        neighbors: parquet file to write, schema ``NEIGHBORS``.
        k: number of neighbours; all public samples where there are fewer.
        title: for the progress lines.

    Raises:
        InputError: when no public caption holds a word, or no query one of theirs.
    """
    store = SampleStore(samples)
    query_rows, public_rows = _rows(queries), _rows(public)
    vectorizer = TfidfVectorizer(dtype=np.float32, analyzer=terms)
    try:
        searched = csr_array(vectorizer.fit_transform(_captions(store, public_rows)))
    except ValueError as error:
        raise InputError(
            f"the captions of {public} hold no word ({first_line(error)}): use another text_encoder than tfidf."
        ) from None
    wanted = csr_array(vectorizer.transform(_captions(store, query_rows)))
    strange = int((np.diff(wanted.indptr) == 0).sum())
    if strange == len(query_rows):
        raise InputError(
            f"no caption of {queries} has a word in common with those of {public}: use another text_encoder than tfidf."
        )
    if strange:
        say(
            f"[{title}] {strange:,} of {len(query_rows):,} captions have no word in common with a public caption: all "
            "are equally near to them"
        )
    by_term, count = csr_array(searched.T), min(k, len(public_rows))

    def found() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for block in blocks(wanted, by_term):
            similarity, position = nearest_sparse(wanted[block], by_term, count)
            yield query_rows[block], similarity, public_rows[position]

    write_found(neighbors, found(), len(query_rows), ENGINE, title)


_WORD = re.compile(r"\b\w\w+\b")


def terms(caption: str) -> list[str]:
    """Return what a caption is compared by: scikit-learn's words, and of unspaced runs one and two characters each."""
    text = caption.lower()
    words = _WORD.findall(UNSPACED.sub(" ", text))
    for run in UNSPACED.findall(text):
        words += [*run, *map("".join, pairwise(run))]
    return words


def _rows(manifest: Path) -> np.ndarray:
    return np.sort(read_table(manifest, ["row"])["row"].to_numpy())


def _captions(store: SampleStore, rows: np.ndarray) -> list[str]:
    return [caption for table in store.read(rows, ["caption"]) for caption in table["caption"].to_pylist()]
