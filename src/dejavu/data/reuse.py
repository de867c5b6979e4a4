"""What earlier jobs made of single files, kept so that a job over a changed batch works on the changed files only.

Snakemake removes what a job made before the job runs again. Each file made is therefore given a second name (a hard
link, which takes no space) in a folder of ours, and its first name back when nothing that it was made of has changed.
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
    """The kept files of one step of one dataset.

    Args:
        folder: where they are kept; on the same file system as the step's outputs.
        settings: everything besides the inputs that the outputs depend on: code and parameters.
    """

    def __init__(self, folder: Path, settings: str) -> None:
        self.folder, self.settings = folder, settings

    def restore(self, name: str, inputs: Sequence[str], outputs: Mapping[str, Path]) -> bool:
        """Gives the outputs of a raw file their places back; returns whether it could.

        It cannot where an input differs in size or modification time from what it was, where the settings differ, or
        where a kept file is not what it was.

        Args:
            name: of the raw file.
            inputs: paths that the outputs are made of.
            outputs: kind -> path to write.
        """
        try:
            noted = json.loads(self._path(name, "json").read_text(encoding="utf-8"))
            known = [tuple(entry) for entry in noted["inputs"]]
            if (
                noted["settings"] != self.settings
                or [path for path, _, _ in known[: len(inputs)]] != list(inputs)
                or any(stamp(path) != (path, size, time) for path, size, time in known)
                or noted["outputs"] != {kind: _digest(self._path(name, kind)) for kind in outputs}
            ):
                return False
            for kind, path in outputs.items():
                _link(self._path(name, kind), path)
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return True

    def keep(self, name: str, inputs: Iterable[Stamp], outputs: Mapping[str, Path]) -> None:
        """Keeps what was made of a raw file; where the file system has no hard links, nothing.

        Args:
            name: of the raw file.
            inputs: what it was made of, as it was before.
            outputs: kind -> path that was written.
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
        """Lets go of what was made of files other than these."""
        ids = {f"{file_id(name):08x}" for name in names}
        for path in self.folder.glob("*.*"):
            if path.name.split(".")[0] not in ids:
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
