"""What the two sides of a model are, and at which numbers of samples seen they are measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dejavu.tables.fields import SIDES

# the text encoder that is built in
TFIDF = "tfidf"


@dataclass(frozen=True)
class Kind:
    """A kind of side, which the configuration names with a key of its own.

    Attributes:
        noun: what it is called in messages.
        has_images: whether it embeds images, too.
        keys: further keys of a side that concern this kind alone.
    """

    noun: str
    has_images: bool = True
    keys: tuple[str, ...] = ()


# the key of a side that names it; :data:`dejavu.encoders.load.LOADERS` says how each is loaded
KINDS = {
    "model": Kind("model that is trained here", keys=("samples_seen",)),
    "checkpoint": Kind("checkpoint", keys=("architecture", "preprocessing", "clip_benchmark")),
    "text_encoder": Kind("text encoder", has_images=False),
}


@dataclass(frozen=True)
class Side:
    """What one side of a model is, and where its files lie.

    Attributes:
        model, letter: whose side it is.
        kind: ``trained`` here, or one of :data:`KINDS`; ``model`` is the trained side of another model.
        source: the recipe, the checkpoint or the text encoder.
        search: what its queries search: ``images`` or ``captions`` of the public samples.
        seen: the number of samples seen that stands in the names of the model's files; 0 where nobody knows.
        embedded: (model, samples seen) that its embeddings are filed under.
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
        """Whether this is an image-text model that is embedded for this very side."""
        return self.has_images and self.kind != "model"

    @property
    def has_images(self) -> bool:
        """Whether this is an image-text model, embedded for this side or for another model's."""
        return self.kind not in KINDS or KINDS[self.kind].has_images


def kind_of(section: Mapping) -> str:
    """Return the kind of a side that is not trained for its model: the key that names it."""
    return next(kind for kind in KINDS if section[kind] is not None)


def side_of(models: Mapping[str, Mapping], model: str, letter: str, seen: int | None = None) -> Side:
    """The side of a model of a checked configuration, at a number of samples seen; the last where none is given."""
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
    """Samples that a model has seen in the end: of its trained side, 0 where no side was trained here."""
    section = models[model]
    if "sides" not in section:
        return int(section["samples_seen"])
    trained = [side for side in section["sides"].values() if side["model"] is not None]
    return _seen_of(models, trained[0]) if trained else 0


def _seen_of(models: Mapping[str, Mapping], side: Mapping) -> int:
    return int(side["samples_seen"] or models[side["model"]]["samples_seen"])


def sides_measured(config: Mapping, split: str) -> list[Side]:
    """Both sides of everything that is measured in a split, by model, then by samples seen."""
    measured = config["splits"][split]["models"]
    return [
        side_of(config["models"], model, letter, seen)
        for model in sorted(measured)
        for seen in measured[model]
        for letter in SIDES
    ]


def trained_sides(sides: Iterable[Side]) -> list[Side]:
    """The sides that are trained here, each once, whatever checkpoints of it are measured."""
    return list({(side.model, side.letter): side for side in sides if side.kind == "trained"}.values())
