"""Embeddings that an earlier job made, kept so that a job for other samples of a role embeds only the new ones.

Snakemake removes what a job made before the job runs again. So every array gets a second name (a hard link, which takes
no space) in a folder of ours. A row of it is used again where all that it was made of is the same: the settings, which
hold code, parameters and digests of the weights; the sample's file, by size and modification time; and, of a query with
texts of its own, the text.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dejavu.data.samples import RoleSamples, SampleStore
from dejavu.data.sources import stamp
from dejavu.data.spill import folder_beside
from dejavu.files import fill_array, read_array, write_array, write_json

ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class ChosenSamples(RoleSamples):
    """Some of the samples of a role.

    Attributes:
        chosen: int64 (n,), ascending, their rows.
    """

    chosen: np.ndarray

    def rows(self) -> np.ndarray:
        """Return int64 (n,), ascending."""
        return self.chosen


# writes the arrays of some samples: kind -> file
Make = Callable[[RoleSamples, Mapping[str, Path]], None]


@dataclass(frozen=True)
class KeptArrays:
    """The kept arrays of one role under one side.

    Attributes:
        folder: where they are kept; on the same file system as the outputs.
        settings: all that the arrays depend on besides the samples; None where that is not known, so that nothing is
            kept or used again.
    """

    folder: Path
    settings: Mapping[str, Any] | None

    def fill(self, role: RoleSamples, outputs: Mapping[str, Path], make: Make, texts: np.ndarray | None = None) -> int:
        """Write the arrays of a role, of which ``make`` makes the rows that are not kept.

        Args:
            role: its samples.
            outputs: kind -> ``.npy`` file to write, float32 (n, dimension), in ascending order of row.
            make: writes the same for some samples.
            texts: digests of the texts that the rows are made of, (n,), or None where samples' files tell.

        Returns:
            Number of samples that were made anew.
        """
        rows = role.rows()
        place = self._places(rows, SampleStore(role.folders), list(outputs), texts)
        new = place < 0
        if new.all():
            make(role, outputs)
        else:
            with folder_beside(next(iter(outputs.values()))) as folder:
                made = {kind: folder / f"{kind}.npy" for kind in outputs}
                if new.any():
                    make(ChosenSamples(role.manifest, role.folders, rows[new]), made)
                for kind, path in outputs.items():
                    _join(path, place, read_array(self._path(kind)), read_array(made[kind]) if new.any() else None)
        self._keep(rows, SampleStore(role.folders), outputs, texts)
        return int(new.sum())

    def _places(self, rows: np.ndarray, store: SampleStore, kinds: list[str], texts: np.ndarray | None) -> np.ndarray:
        """Return int64 (n,): the place of every row in the kept arrays, -1 where it is not there or another by now."""
        place = np.full(len(rows), -1, dtype=np.int64)
        try:
            note = json.loads(self._path("", "json").read_text(encoding="utf-8"))
            if self.settings is None or note["settings"] != json.loads(json.dumps(self.settings)):
                return place
            if note["outputs"] != {kind: digest_of(self._path(kind)) for kind in [*kinds, "rows", "texts"]}:
                return place
            kept, kept_texts = np.asarray(read_array(self._path("rows"))), read_array(self._path("texts"))
            same = [int(file) for file, noted in note["samples"].items() if noted == _stamp(store, int(file))]
        except (OSError, ValueError, KeyError, TypeError):
            return place
        # One limit's samples hold the other's. Where they do not, the role's samples have changed otherwise.
        if not (np.isin(kept, rows).all() or np.isin(rows, kept).all()):
            return place
        at = np.minimum(np.searchsorted(kept, rows), len(kept) - 1)
        usable = (kept[at] == rows) & np.isin(rows >> 32, same)
        if texts is not None:
            usable &= kept_texts[at] == texts if len(kept_texts) else False
        place[usable] = at[usable]
        return place

    def _keep(
        self, rows: np.ndarray, store: SampleStore, outputs: Mapping[str, Path], texts: np.ndarray | None
    ) -> None:
        note = self._path("", "json")
        note.unlink(missing_ok=True)
        if self.settings is None:
            return
        try:
            for kind, path in outputs.items():
                target = self._path(kind)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.unlink(missing_ok=True)
                os.link(path, target)
        except OSError:
            return  # a file system without hard links
        write_array(self._path("rows"), rows)
        write_array(self._path("texts"), np.empty(0, "V16") if texts is None else texts)
        digests = {kind: digest_of(self._path(kind)) for kind in [*outputs, "rows", "texts"]}
        samples = {str(file): _stamp(store, file) for file in np.unique(rows >> 32).tolist()}
        write_json(note, {"settings": self.settings, "samples": samples, "outputs": digests})

    def _path(self, kind: str, suffix: str = "npy") -> Path:
        return self.folder / f"{kind or 'note'}.{suffix}"


def digest_of(path: Path) -> str:
    """Return a 128-bit hash of a file's content, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _stamp(store: SampleStore, file: int) -> list | None:
    return list(stamp(os.fspath(store.files[file]))) if file in store.files else None


def _join(path: Path, place: np.ndarray, kept: np.ndarray, made: np.ndarray | None) -> None:
    """Write kept rows, where there is a place, and between them the rows that were made, in their order."""
    number = np.cumsum(place < 0) - 1
    with fill_array(path, len(place)) as fill:
        for start in range(0, len(place), ROWS_AT_ONCE):
            block = slice(start, start + ROWS_AT_ONCE)
            new = place[block] < 0
            part = kept[np.maximum(place[block], 0)]
            if made is not None:
                part[new] = made[number[block][new]]
            fill(slice(start, start + len(part)), part)
