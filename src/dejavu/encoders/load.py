"""The one door to the models of all kinds of sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dejavu.encoders.interface import Model, Running


def _trained(model: Model, running: Running) -> Any:
    from dejavu.encoders.openclip import load_trained

    return load_trained(model, running)


def _checkpoint(model: Model, running: Running) -> Any:
    from dejavu.encoders.openclip import load_foreign

    return load_foreign(model, running)


def _text_encoder(model: Model, running: Running) -> Any:
    from dejavu.encoders.sentence import load_text_encoder

    return load_text_encoder(model, running)


# kind of a side, see dejavu.sides -> what loads it; imported when asked for, since each takes seconds
LOADERS: dict[str, Callable[[Model, Running], Any]] = {
    "trained": _trained,
    "checkpoint": _checkpoint,
    "text_encoder": _text_encoder,
}


def load_encoder(model: Model, running: Running) -> Any:
    """Load the model of a side, in evaluation mode; nothing is downloaded, and code in its files is never run.

    Returns:
        An :class:`dejavu.encoders.interface.Encoder`; of a text encoder a
        :class:`dejavu.encoders.interface.TextEncoder`.

    Raises:
        InputError: when there is no such model, or its files are damaged or do not fit.
    """
    return LOADERS[model.kind](model, running)
