"""Embeddings of what a model is asked with besides whole captions.

A mitigation that changes how captions are seen in training is built against the whole caption. So a model is also asked
with the cue that training left to it (``masked``), and with what only memory can use (``remainder``, ``rare``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dejavu.data.samples import RoleSamples
from dejavu.encoders.interface import TokenEncoder
from dejavu.errors import words
from dejavu.files import fill_array, read_table
from dejavu.progress import Progress
from dejavu.retrieval.finite import require_finite
from dejavu.tables.queries import MASKED
from dejavu.training.draws import Purpose
from dejavu.training.text import TextRandomizer

CAPTIONS_PER_BLOCK = 4096


@dataclass(frozen=True)
class Masking:
    """How captions are masked for a query; the names of a recipe's keys, in the configuration described.

    Attributes:
        captions: how many masked captions are embedded and averaged.
        text_mask: share of the caption's parts that is hidden, above 0.
        text_mask_unit, text_mask_with: which parts, and what stands in their place.
        seed: of the draws, which are none of those of a training.
    """

    captions: int
    text_mask: float
    text_mask_unit: str
    text_mask_with: str
    seed: int


def embed_queries(
    encoder: TokenEncoder,
    roles: Mapping[str, RoleSamples],
    texts: Path | None,
    outputs: Mapping[tuple[str, str], Path],
    masking: Masking,
    title: str,
) -> None:
    """Write float32 (n, dimension), L2-normalised, for every population and query, in ascending order of row.

    ``masked`` is the direction of the mean of the embeddings of captions that are masked as in training; the other
    queries are embedded as they are.

    Args:
        encoder: the model.
        roles: population -> its samples.
        texts: table of what the other queries ask with, schema ``QUERY_TEXTS``; not needed for ``masked``.
        outputs: (population, query) -> ``.npy`` file to write.
        masking: how captions are masked.
        title: for the progress lines.

    Raises:
        InputError: when an embedding is not finite, or the tokenizer cannot be masked.
    """
    rows = {name: role.rows() for name, role in roles.items()}
    known = {} if texts is None else _texts(texts, {query for _, query in outputs} - {MASKED})
    asker = _Asker(encoder, masking, title)
    progress = Progress(title, sum(len(rows[population]) for population, _ in outputs), "queries")
    for (population, query), path in outputs.items():
        with fill_array(path, len(rows[population])) as fill:
            for place, samples in roles[population].batches(["caption"], CAPTIONS_PER_BLOCK):
                block = rows[population][place]
                asked = (
                    samples["caption"].to_pylist() if query == MASKED else [known[query][row] for row in block.tolist()]
                )
                fill(place, asker.embed(query, asked, block))
                progress.advance(len(block))
    progress.finish()


def _texts(texts: Path, queries: Iterable[str]) -> dict[str, dict[int, str]]:
    """Query -> row -> text."""
    table = read_table(texts, ["row", *queries])
    rows = table["row"].to_pylist()
    return {query: dict(zip(rows, table[query].to_pylist(), strict=True)) for query in table.column_names[1:]}


def text_digests(texts: Path, query: str, rows: np.ndarray) -> np.ndarray:
    """Return a digest of the text that a query asks with of each row, bytes (n,) of 16.

    Args:
        texts: table of the texts, schema ``QUERY_TEXTS``.
        query: of those with texts of their own.
        rows: int64 (n,).
    """
    known = _texts(texts, [query])[query]
    digests = (hashlib.blake2b(known[row].encode(), digest_size=16).digest() for row in rows.tolist())
    return np.frombuffer(b"".join(digests), dtype="V16")


class _Asker:
    """Embeds the texts of a query."""

    def __init__(self, encoder: TokenEncoder, masking: Masking, title: str) -> None:
        self._encoder, self._masking, self._title = encoder, masking, title
        self._randomizer: TextRandomizer | None = None

    def embed(self, query: str, texts: Sequence[str], rows: np.ndarray) -> np.ndarray:
        """Return float32 (n, dimension), L2-normalised."""
        where = words(f"{self._title}, {query}")
        if query != MASKED:
            return require_finite(self._encoder.tokens(self._encoder.tokenize(texts)), where)
        if self._randomizer is None:
            self._randomizer = TextRandomizer(
                self._encoder.tokenizer,
                mask=self._masking.text_mask,
                unit=self._masking.text_mask_unit,
                replace=self._masking.text_mask_with,
                seed=self._masking.seed,
                purpose=Purpose.QUERY_MASK,
            )
        total = np.zeros((0, 0), dtype=np.float64)
        for repeat in range(self._masking.captions):
            tokens = self._randomizer(texts, [repeat] * len(rows), rows.tolist())
            encoded = require_finite(self._encoder.tokens(tokens), where)
            total = encoded.astype(np.float64) if repeat == 0 else total + encoded
        norm = np.linalg.norm(total, axis=1, keepdims=True)
        return require_finite((total / norm).astype(np.float32), where)
