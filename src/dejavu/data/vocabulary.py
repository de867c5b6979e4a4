"""Vocabularies: the labels that a detector looks for, from lists in this package or from a file of the user."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from dejavu.errors import InputError, closest

FOLDER = Path(__file__).parent / "vocabularies"
SHIPPED = ("coco", "lvis", "open_images")


def read_vocabulary(name: str, where: str = "vocabulary") -> dict[str, str]:
    """Read a vocabulary, which is a text in UTF-8 with one label per line.

    Empty lines and lines that begin with ``#`` are skipped. If a tab follows the label, the detector is asked for the
    phrase after the tab; for the label ``bat``, the phrase may be ``bat (animal)``.

    Args:
        name: a name in :data:`SHIPPED`, or the path of a file.
        where: key of the configuration that names the vocabulary, for messages.

    Returns:
        Label -> phrase that the detector is asked for, in the order of the lines.

    Raises:
        InputError: when the file does not exist, is not text, has no label, or has a label twice.
    """
    path = FOLDER / f"{name}.txt" if name in SHIPPED else Path(name)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(
            f"{where} names {name!r}, which is neither a file nor one of {', '.join(SHIPPED)}{closest(name, SHIPPED)}: "
            "correct the path."
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: {path} is not UTF-8 text ({error.reason}): save it as UTF-8.") from None
    labels: dict[str, str] = {}
    line_of: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        label, _, phrase = (part.strip() for part in line.partition("\t"))
        if not label or label.startswith("#"):
            continue
        if label.casefold() in line_of:
            raise InputError(
                f"{where}: {path} line {number}: {label!r} is already in line {line_of[label.casefold()]}: "
                "remove one of them."
            )
        line_of[label.casefold()] = number
        labels[label] = phrase or label
    if not labels:
        raise InputError(f"{where}: {path} holds no label: write one per line.")
    return labels


def vocabulary_hash(labels: Mapping[str, str]) -> str:
    """Return 16 hexadecimal digits that change with the labels, their phrases and their order, not with comments."""
    return hashlib.blake2b(json.dumps(list(labels.items())).encode(), digest_size=8).hexdigest()
