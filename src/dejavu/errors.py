"""Errors that the user can mend: ``InputError``, whose message says how, and sentences that several modules use."""

from __future__ import annotations

import difflib
import errno
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

# error number -> why nothing can be written to the disk, and what to do about it
REFUSALS = {
    errno.ENOSPC: ("the disk is full", "make room"),
    errno.EDQUOT: ("the disk quota is used up", "make room"),
    errno.EROFS: ("its file system is read-only", "make it writable"),
}


class InputError(Exception):
    """A sentence that names the file, the row or the key, what is wrong with it, and what to do."""


def words(text: str) -> str:
    """Return a text unchanged. The call marks the text as words for people, which the code hash leaves out."""
    return text


def closest(word: str, candidates: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` with the candidate nearest to ``word``; an empty string where none is near."""
    near = difflib.get_close_matches(word, list(candidates), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def loss_mismatch(architecture: str, loss: str) -> str:
    """Return a sentence about an architecture that does not fit a loss: only SigLIP's loss uses a bias."""
    if loss == "siglip":
        return (
            f"loss is siglip, which needs a bias, but the architecture {architecture} has none: name one of SigLIP's, "
            "or add init_logit_bias: -10 to its JSON file."
        )
    return (
        f"the architecture {architecture} is SigLIP's, with a bias that loss: clip leaves unused: set loss to siglip, "
        "and temperature to 0.1, which SigLIP begins with."
    )


def require_same_rows(first: Iterable[int], second: Iterable[int], what: str) -> None:
    """Refuse two collections of rows that differ.

    Raises:
        InputError: with ``what`` the rows belong to, and how many rows are only in one collection.
    """
    left, right = set(map(int, first)), set(map(int, second))
    if left != right:
        raise InputError(
            f"{what}: {len(left - right)} rows are only in the first and {len(right - left)} only in the second; "
            "one of them comes from another run. Delete the older one and run again."
        )


def refused_writing(error: BaseException, path: Path | None = None) -> InputError | None:
    """Return a sentence for an error of a full or read-only disk; None for every other error.

    The causes of the exception are searched, too. Libraries raise exceptions of their own, some of which carry the
    operating system's error only in the text of their message.

    Args:
        error: the exception, whose causes are followed.
        path: the file that was being written, where it is known.
    """
    if isinstance(error, PermissionError) and error.filename is not None:
        return InputError(f"{error.filename}: permission is denied: change its permissions and run again.")
    cause: BaseException | None = error
    while cause is not None:
        if (number := _refusal(cause)) is not None:
            reason, remedy = REFUSALS[number]
            named = getattr(cause, "filename2", None) or getattr(cause, "filename", None)
            what = path or named or f"a file in {_full_folder()}"
            return InputError(
                f"{what} cannot be written, since {reason}: {remedy} and run again, what is finished is kept."
            )
        cause = cause.__cause__ or cause.__context__
    return None


def _full_folder() -> Path:
    """Return the first of the folders that jobs write to with less than 1 MiB free; else the working directory."""
    # tempfile.gettempdir() would skip a folder that is full.
    folders = [folder for folder in (Path("results"), Path(os.environ.get("TMPDIR", "/tmp"))) if folder.is_dir()]
    return next((folder for folder in folders if shutil.disk_usage(folder).free < 1 << 20), Path.cwd())


def _refusal(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno in REFUSALS:
        return error.errno
    text = str(error)
    # On a full disk, NumPy's error has no number; its message says only how many items it wrote.
    if isinstance(error, OSError) and re.fullmatch(r"\d+ requested and \d+ written", text):
        return errno.ENOSPC
    return next((number for number in REFUSALS if os.strerror(number) in text), None)
