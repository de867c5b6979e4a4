"""Embeddings of what a model is asked with besides whole captions.

A mitigation that changes how captions are seen in training is built against the whole caption. So a model is also asked
with the cue that training left to it (``masked``), and with what only memory can use (``remainder``, ``rare``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dejavu.data.samples import SampleStore
from dejavu.errors import words
from dejavu.files import atomic, map_array, read_table
from dejavu.progress import Progress
from dejavu.retrieval.finite import require_finite
from dejavu.tables.queries import MASKED
from dejavu.training.draws import Purpose
from dejavu.training.model import Clip
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
    clip: Clip,
    manifests: Mapping[str, Path],
    samples: Sequence[str],
    texts: Path | None,
    outputs: Mapping[tuple[str, str], Path],
    *,
    masking: Masking,
    batch_size: int,
    device: str,
    title: str,
) -> None:
    """Writes float32 (n, dimension), L2-normalised, for every population and query, in ascending order of row.

    ``masked`` is the direction of the mean of the embeddings of captions that are masked as in training; the other
    queries are embedded as they are.

    Args:
        clip: the model, in evaluation mode.
        manifests: population -> its samples.
        samples: batch folders of the samples table.
        texts: table of what the other queries ask with, schema ``QUERY_TEXTS``; not needed for ``masked``.
        outputs: (population, query) -> ``.npy`` file to write.
        masking: how captions are masked.
        batch_size: captions at a time.
        device: ``cpu`` or ``cuda``.
        title: for the progress lines.

    Raises:
        InputError: when an embedding is not finite, or the tokenizer cannot be masked.
    """
    wanted = {name: np.sort(read_table(path, ["row"])["row"].to_numpy()) for name, path in manifests.items()}
    known = {} if texts is None else _texts(texts, {query for _, query in outputs} - {MASKED})
    asker = _Asker(clip, masking, batch_size, device, title)
    progress = Progress(title, sum(len(wanted[population]) for population, _ in outputs), "queries")
    for (population, query), path in outputs.items():
        rows, done = wanted[population], 0
        with atomic(path) as temporary, torch.inference_mode():
            array = np.empty((0, 0), dtype=np.float32)
            for block, captions in _captions(samples, rows):
                asked = captions if query == MASKED else [known[query][row] for row in block.tolist()]
                part = asker.embed(query, asked, block)
                if not done:
                    array = map_array(temporary, (len(rows), part.shape[1]), np.float32)
                array[done : done + len(part)] = part
                done += len(part)
                progress.advance(len(part))
            array.flush()  # type: ignore[attr-defined]
    progress.finish()


def _texts(texts: Path, queries: Iterable[str]) -> dict[str, dict[int, str]]:
    """Query -> row -> text."""
    table = read_table(texts, ["row", *queries])
    rows = table["row"].to_pylist()
    return {query: dict(zip(rows, table[query].to_pylist(), strict=True)) for query in table.column_names[1:]}


def _captions(samples: Sequence[str], rows: np.ndarray) -> Iterator[tuple[np.ndarray, list[str]]]:
    done = 0
    for part in SampleStore(samples).batches(rows, ["caption"], CAPTIONS_PER_BLOCK):
        block = part["row"].to_numpy()
        if not np.array_equal(block, rows[done : done + len(block)]):
            raise ValueError(f"rows {rows[done : done + 3]} came back in another order")
        done += len(block)
        yield block, part["caption"].to_pylist()


class _Asker:
    """Embeds the texts of a query."""

    def __init__(self, clip: Clip, masking: Masking, batch_size: int, device: str, title: str) -> None:
        self._clip, self._batch_size, self._device, self._title = clip, batch_size, device, title
        self._repeats = masking.captions
        self._masking = masking
        self._randomizer: TextRandomizer | None = None

    def embed(self, query: str, texts: Sequence[str], rows: np.ndarray) -> np.ndarray:
        """float32 (n, dimension), L2-normalised."""
        if query != MASKED:
            return self._encoded(self._clip.tokenize(texts), query)
        if self._randomizer is None:
            self._randomizer = TextRandomizer(
                self._clip.tokenizer,
                mask=self._masking.text_mask,
                unit=self._masking.text_mask_unit,
                replace=self._masking.text_mask_with,
                seed=self._masking.seed,
                purpose=Purpose.QUERY_MASK,
            )
        total = np.zeros((0, 0), dtype=np.float64)
        for repeat in range(self._repeats):
            found = self._encoded(self._randomizer(texts, [repeat] * len(rows), rows.tolist()), query)
            total = found.astype(np.float64) if repeat == 0 else total + found
        norm = np.linalg.norm(total, axis=1, keepdims=True)
        return require_finite((total / norm).astype(np.float32), words(f"{self._title}, {query}"))

    def _encoded(self, tokens: torch.Tensor, query: str) -> np.ndarray:
        # short texts together, so that little is padded; the order is restored
        order = torch.argsort((tokens != 0).sum(dim=1), stable=True)
        parts = [
            self._clip.encode_text(self._clip.cut(tokens[chosen]).to(self._device)).float().cpu()
            for chosen in order.split(self._batch_size)
        ]
        encoded = torch.empty_like(torch.cat(parts))
        encoded[order] = torch.cat(parts)
        return require_finite(encoded.numpy(), words(f"{self._title}, {query}"))
