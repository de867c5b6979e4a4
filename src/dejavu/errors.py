"""The one exception that means: the user can mend this, and the sentence says how."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """A sentence that names the file, the row or the key, what is wrong with it, and what to do."""


def closest(word: str, candidates: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for the candidate nearest to ``word``, or an empty string when none is near."""
    near = difflib.get_close_matches(word, list(candidates), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


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
