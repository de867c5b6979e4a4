"""Findings of a check, each printed as a line when it is added."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dejavu.errors import InputError
from dejavu.files import first_line
from dejavu.progress import say

OK, LOOK, FAULT = "ok", "look", "fault"


@dataclass(frozen=True)
class Finding:
    """A finding about something that the configuration names.

    Attributes:
        about: key of the configuration, such as ``datasets.mine``.
        state: ``ok``, ``look`` (the user should look at it) or ``fault`` (a run would stop there).
        text: a sentence.
    """

    about: str
    state: str
    text: str


@dataclass
class Findings:
    """All findings of a check, and the pairs that it looked at.

    Attributes:
        found: the findings, in the order of the check.
        pairs: dataset -> some of its pairs, with their objects.
        ranks: dataset -> model and side -> rank of each pair's own image for its caption.
    """

    found: list[Finding] = field(default_factory=list)
    pairs: dict[str, list[dict]] = field(default_factory=dict)
    ranks: dict[str, dict[str, list[int]]] = field(default_factory=dict)

    def add(self, about: str, state: str, text: str) -> None:
        """Add a finding and print it. If its text begins with ``about`` and a colon, leave that beginning out."""
        text = text.removeprefix(f"{about}: ")
        self.found.append(Finding(about, state, text))
        say(f"{state:5} {about}: {text}")

    @contextmanager
    def about(self, what: str) -> Iterator[None]:
        """Turn an exception within the block into a fault, so that the check goes on."""
        try:
            yield
        except InputError as error:
            self.add(what, FAULT, str(error))
        except Exception as error:
            traceback.print_exc()
            self.add(what, FAULT, f"{type(error).__name__}: {first_line(error)}; the log has more of it")

    @property
    def faults(self) -> int:
        """The number of faults."""
        return sum(finding.state == FAULT for finding in self.found)
