"""What a check has found, and the lines that say it."""

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
    """What was found about something that the configuration names.

    Attributes:
        about: what, as ``datasets.mine``.
        state: ``ok``, ``look`` (the user should look at it) or ``fault`` (the run would stop there).
        text: a sentence.
    """

    about: str
    state: str
    text: str


@dataclass
class Findings:
    """All that was found.

    Attributes:
        found: in order.
        pairs: dataset -> some of its pairs, with their objects.
        ranks: dataset -> what a model is called -> for each of the pairs the rank of its own image.
    """

    found: list[Finding] = field(default_factory=list)
    pairs: dict[str, list[dict]] = field(default_factory=dict)
    ranks: dict[str, dict[str, list[int]]] = field(default_factory=dict)

    def add(self, about: str, state: str, text: str) -> None:
        """Notes a finding, and says it; a sentence that begins with what it is about is shortened by that."""
        text = text.removeprefix(f"{about}: ")
        self.found.append(Finding(about, state, text))
        say(f"{state:5} {about}: {text}")

    @contextmanager
    def about(self, what: str) -> Iterator[None]:
        """What raises inside is a fault, and the next is looked at."""
        try:
            yield
        except InputError as error:
            self.add(what, FAULT, str(error))
        except Exception as error:
            traceback.print_exc()
            self.add(what, FAULT, f"{type(error).__name__}: {first_line(error)}; the log has more of it")

    @property
    def faults(self) -> int:
        """How many are faults."""
        return sum(finding.state == FAULT for finding in self.found)
