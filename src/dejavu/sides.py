"""The two sides of a model: their kinds, and the numbers of samples seen at which they are measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dejavu.tables.fields import SIDES

# name of the built-in text encoder
TFIDF = "tfidf"


@dataclass(frozen=True)
class Kind:
    """A kind of side, which has its own key in the configuration.

    Attributes:
        noun: the kind's name in messages.
        has_images: whether a side of this kind embeds images as well as texts.
        keys: further keys of a side's section that only this kind takes.
    """

    noun: str
    has_images: bool = True
    keys: tuple[str, ...] = ()


# key of a side's section -> the kind of side that it names; dejavu.encoders.load.LOADERS says how each kind is loaded
KINDS = {
    "model": Kind("model that is trained here", keys=("samples_seen",)),
    "checkpoint": Kind("checkpoint", keys=("architecture", "preprocessing", "clip_benchmark")),
    "text_encoder": Kind("text encoder", has_images=False),
}


@dataclass(frozen=True)
class Side:
    """One side of a model: its kind, and the names under which its files are found.

    Attributes:
        model, letter: name of the model, and ``a`` or ``b``.
        kind: ``trained`` for a side that is trained for this model, or a key of :data:`KINDS`; ``model`` is the trained
            side of another model.
        source: name of the model whose recipe it is trained with, or the checkpoint, or the text encoder.
        search: ``images`` or ``captions`` of the public samples, which the side's queries search.
        seen: number of samples seen, which is in the paths of the model's files; 0 where it is unknown.
        embedded: (model, samples seen) in the paths of the side's embeddings.
    """

    model: str
    letter: str
    kind: str
    source: str
    search: str
    seen: int
    embedded: tuple[str, int]

    @property
    def own(self) -> bool:
        """Whether the side embeds images and does not take its embeddings from another model's side."""
        return self.has_images and self.kind != "model"

    @property
    def has_images(self) -> bool:
        """Whether the side embeds images; only a text encoder does not."""
        return self.kind not in KINDS or KINDS[self.kind].has_images


def kind_of(section: Mapping) -> str:
    """Return the kind of a side in ``sides``: the one key of :data:`KINDS` that its section sets."""
    return next(kind for kind in KINDS if section[kind] is not None)


def side_of(models: Mapping[str, Mapping], model: str, letter: str, seen: int | None = None) -> Side:
    """Return a side of a model in a checked configuration, at a number of samples seen, by default the last."""
    section = models[model]
    if "sides" not in section:
        seen = int(seen or section["samples_seen"])
        return Side(model, letter, "trained", model, "images", seen, (model, seen))
    side = section["sides"][letter]
    kind = kind_of(side)
    source, seen = side[kind], samples_seen(models, model)
    embedded = (source, _seen_of(models, side)) if kind == "model" else (model, seen)
    return Side(model, letter, kind, source, side["search"], seen, embedded)


def samples_seen(models: Mapping[str, Mapping], model: str) -> int:
    """Return the number of samples seen at the end of a model's training; 0 where neither side is trained here."""
    section = models[model]
    if "sides" not in section:
        return int(section["samples_seen"])
    trained = [side for side in section["sides"].values() if side["model"] is not None]
    return _seen_of(models, trained[0]) if trained else 0


def _seen_of(models: Mapping[str, Mapping], side: Mapping) -> int:
    return int(side["samples_seen"] or models[side["model"]]["samples_seen"])


def sides_measured(config: Mapping, split: str) -> list[Side]:
    """Return both sides of every model measured in a split, by model, then by samples seen."""
    measured = config["splits"][split]["models"]
    return [
        side_of(config["models"], model, letter, seen)
        for model in sorted(measured)
        for seen in measured[model]
        for letter in SIDES
    ]


def trained_sides(sides: Iterable[Side]) -> list[Side]:
    """Return the sides that are trained for their model, each once, however many of its checkpoints are measured."""
    return list({(side.model, side.letter): side for side in sides if side.kind == "trained"}.values())
