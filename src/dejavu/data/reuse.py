"""Reuse of outputs, file by file: a job over a changed batch computes only the outputs of the changed raw files.

Snakemake removes the outputs of a job before the job runs again. Therefore each output gets a second name, a hard link
without copy, in a folder that Snakemake does not know. If no input of the output has changed, the next job links it
back to its first name.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dejavu.data.raw import file_id
from dejavu.data.sources import Stamp, stamp
from dejavu.files import write_json


class Kept:
    """The kept outputs of one step for one dataset.

    Args:
        folder: folder of the kept files, on the same file system as the step's outputs.
        settings: code and parameters of the step: everything besides the inputs that its outputs depend on.
    """

    def __init__(self, folder: Path, settings: str) -> None:
        self.folder, self.settings = folder, settings

    def restore(self, name: str, inputs: Sequence[str], outputs: Mapping[str, Path]) -> bool:
        """Link the kept outputs of a raw file to their paths, and return whether this was possible.

        It is impossible if the size or modification time of an input has changed, if the settings have changed, or if
        a kept file was altered.

        Args:
            name: name of the raw file.
            inputs: paths of the inputs.
            outputs: kind of output -> path to write.
        """
        try:
            record = json.loads(self._path(name, "json").read_text(encoding="utf-8"))
            stamps = [tuple(entry) for entry in record["inputs"]]
            if (
                record["settings"] != self.settings
                or [path for path, _, _ in stamps[: len(inputs)]] != list(inputs)
                or any(stamp(path) != (path, size, time) for path, size, time in stamps)
                or record["outputs"] != {kind: _digest(self._path(name, kind)) for kind in outputs}
            ):
                return False
            for kind, path in outputs.items():
                _link(self._path(name, kind), path)
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return True

    def keep(self, name: str, inputs: Iterable[Stamp], outputs: Mapping[str, Path]) -> None:
        """Keep the outputs of a raw file. On a file system without hard links, keep nothing.

        Args:
            name: name of the raw file.
            inputs: stamps of the inputs, taken before they were read.
            outputs: kind of output -> path that was written.
        """
        note = self._path(name, "json")
        note.unlink(missing_ok=True)
        try:
            for kind, path in outputs.items():
                _link(path, self._path(name, kind))
        except OSError:
            return
        digests = {kind: _digest(path) for kind, path in outputs.items()}
        write_json(note, {"settings": self.settings, "inputs": list(inputs), "outputs": digests})

    def prune(self, names: Iterable[str]) -> None:
        """Remove the kept outputs of all raw files but these. Other jobs may be writing outputs of these meanwhile."""
        ids = {f"{file_id(name):08x}" for name in names}
        for path in self.folder.glob("*.*"):
            # The name of a file that is being written is hidden: it begins with a dot.
            if path.name.removeprefix(".").split(".")[0] not in ids:
                path.unlink(missing_ok=True)

    def _path(self, name: str, kind: str) -> Path:
        return self.folder / f"{file_id(name):08x}.{kind}"


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    os.link(source, target)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
