"""The one exception that means: the user can mend this, and the sentence says how."""

from __future__ import annotations

import difflib
import errno
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

# why a disk takes nothing, and what to do about it
REFUSALS = {
    errno.ENOSPC: ("the disk is full", "make room"),
    errno.EDQUOT: ("the disk quota is used up", "make room"),
    errno.EROFS: ("its file system is read-only", "make it writable"),
}


class InputError(Exception):
    """A sentence that names the file, the row or the key, what is wrong with it, and what to do."""


def words(text: str) -> str:
    """Marks a text that only people read, in errors or progress: it is no part of what the code hash is taken over."""
    return text


def closest(word: str, candidates: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for the candidate nearest to ``word``, or an empty string when none is near."""
    near = difflib.get_close_matches(word, list(candidates), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def loss_mismatch(architecture: str, loss: str) -> str:
    """The sentence about an architecture whose bias, or the lack of one, does not go with a loss."""
    if loss == "siglip":
        return (
            f"loss is siglip, which needs a bias, but the architecture {architecture} has none: name one of SigLIP's, "
            "or add init_logit_bias: -10 to its JSON file."
        )
    return (
        f"the architecture {architecture} is SigLIP's, with a bias that loss: clip leaves unused: set loss to siglip, "
        "and temperature to 0.1, which SigLIP begins with."
    )


def require_same_rows(one: Iterable[int], other: Iterable[int], what: str) -> None:
    """Refuses two sets of rows that should be the same.

    Raises:
        InputError: naming ``what`` and how many rows are only in one of them.
    """
    left, right = set(map(int, one)), set(map(int, other))
    if left != right:
        raise InputError(
            f"{what}: {len(left - right)} rows are only in the first and {len(right - left)} only in the second; "
            "one of them comes from another run. Delete the older one and run again."
        )


def refused_writing(error: BaseException, path: Path | None = None) -> InputError | None:
    """The sentence about a disk that takes nothing, or None where something else went wrong.

    Libraries raise their own classes of errors, some only with the system's text in the message.

    Args:
        error: the exception, with those that led to it.
        path: what was being written, where that is known.
    """
    if isinstance(error, PermissionError) and error.filename is not None:
        return InputError(f"{error.filename}: permission is denied: change its permissions and run again.")
    cause: BaseException | None = error
    while cause is not None:
        if (number := _refusal(cause)) is not None:
            reason, remedy = REFUSALS[number]
            given = getattr(cause, "filename2", None) or getattr(cause, "filename", None)
            what = path or given or f"a file in {_full_folder()}"
            return InputError(
                f"{what} cannot be written, since {reason}: {remedy} and run again, what is finished is kept."
            )
        cause = cause.__cause__ or cause.__context__
    return None


def _full_folder() -> Path:
    """Where there is no room, of the folders that jobs write to."""
    # not tempfile's, which looks for a place that can be written to
    places = [place for place in (Path("results"), Path(os.environ.get("TMPDIR", "/tmp"))) if place.is_dir()]
    return next((place for place in places if shutil.disk_usage(place).free < 1 << 20), Path.cwd())


def _refusal(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno in REFUSALS:
        return error.errno
    text = str(error)
    # NumPy says only how much it wrote
    if isinstance(error, OSError) and re.fullmatch(r"\d+ requested and \d+ written", text):
        return errno.ENOSPC
    return next((number for number in REFUSALS if os.strerror(number) in text), None)
