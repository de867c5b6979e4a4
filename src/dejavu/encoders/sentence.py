"""Models of ``sentence-transformers``, an optional extra, as text-only references of one-model tests."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.nn.functional import normalize

from dejavu.encoders.interface import Model, Running
from dejavu.encoders.precision import halve
from dejavu.errors import InputError
from dejavu.files import first_line

# sentence-transformers sorts what it is given by length, so that little is padded
CAPTIONS_PER_BLOCK = 4096


@dataclass(frozen=True)
class SentenceEncoder:
    """A model of ``sentence-transformers`` and how it is run."""

    model: Any
    running: Running

    @property
    def at_once(self) -> int:
        """The number of texts to hand over at a time."""
        return CAPTIONS_PER_BLOCK

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 (texts, dimension), L2-normalised."""
        encoded = self.model.encode(
            list(texts), batch_size=self.running.batch_size, convert_to_tensor=True, show_progress_bar=False
        )
        # normalised in float32, whatever the precision of the weights
        return normalize(encoded.float(), dim=1).cpu().numpy()

    def halve(self) -> None:
        """Round the weights to bfloat16; embeddings stay float32."""
        halve(self.model)


def load_text_encoder(model: Model, running: Running) -> SentenceEncoder:
    """Load a model of ``sentence-transformers``, from a folder or by its name in the cache; code in it is not run.

    Raises:
        InputError: when ``sentence-transformers`` is not installed, or the model cannot be loaded.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    encoder = model.source
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise InputError(
            f"the text encoder {encoder!r} needs sentence-transformers, which is not installed: "
            "add it with pip install 'vlm-dejavu[sentence-transformers]', or use tfidf."
        ) from None
    try:
        loaded = SentenceTransformer(encoder, device=running.device, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise InputError(
            f"the text encoder {encoder!r} cannot be loaded ({first_line(error)}): give the folder of a "
            "sentence-transformers model, or a name that is in the cache; nothing is downloaded."
        ) from error
    return SentenceEncoder(loaded, running)
