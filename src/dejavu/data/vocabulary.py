"""The labels that a detector looks for: lists that come with this package, or a file of the user's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from dejavu.errors import InputError, closest

FOLDER = Path(__file__).parent / "vocabularies"
SHIPPED = ("coco", "lvis", "open_images")


def read_vocabulary(name: str, where: str = "vocabulary") -> dict[str, str]:
    """Reads a vocabulary: UTF-8, one label per line; lines that begin with ``#`` and empty lines do not count.

    Where a tab follows the label, the detector is asked for what stands after it, as for ``bat (animal)`` where the
    label is ``bat``.

    Args:
        name: one of :data:`SHIPPED`, or the path of a file.
        where: the key of the configuration that names it, for sentences.

    Returns:
        Label -> what the detector is asked for, in the order of the lines.

    Raises:
        InputError: when there is no such file, it is not text, holds no label, or one label twice.
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
    first: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        label, _, asked = (part.strip() for part in line.partition("\t"))
        if not label or label.startswith("#"):
            continue
        if label.casefold() in first:
            raise InputError(
                f"{where}: {path} line {number}: {label!r} stands in line {first[label.casefold()]} already: "
                "remove one of them."
            )
        first[label.casefold()] = number
        labels[label] = asked or label
    if not labels:
        raise InputError(f"{where}: {path} holds no label: write one per line.")
    return labels


def vocabulary_hash(labels: Mapping[str, str]) -> str:
    """16 hexadecimal digits that change with the labels and their order, not with comments."""
    return hashlib.blake2b(json.dumps(list(labels.items())).encode(), digest_size=8).hexdigest()
