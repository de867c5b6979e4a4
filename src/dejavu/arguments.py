"""Arguments of command lines: what is wrong with them is said in one sentence."""

from __future__ import annotations

import argparse
from typing import NoReturn

from dejavu.errors import InputError


class Parser(argparse.ArgumentParser):
    """A parser that raises :class:`InputError` where argparse would print its usage and end the process.

    Attributes:
        hint: what a sentence about an unknown option adds.
    """

    hint = ""

    def error(self, message: str) -> NoReturn:
        """Raise the message as one sentence."""
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            message = f"it does not know {unknown}{self.hint}"
        raise InputError(f"{self.prog}: {message}. `{self.prog} --help` lists what it takes.")
