"""``dejavu init``: a folder with a configuration, the architectures that it names, and the profiles."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dejavu import __version__
from dejavu.errors import InputError, closest
from dejavu.files import write_text
from dejavu.project import BASE

PROFILES = ("profiles/default/profile.yaml", "profiles/slurm/profile.yaml")
# makes `snakemake` in the folder the same as `dejavu run`
SNAKEFILE = """\
# The workflow of the installed package vlm-dejavu: `snakemake --cores N` is the same as `dejavu run --cores N`.
from dejavu.project import BASE

workflow.include(str(BASE / "workflow" / "Snakefile"), overwrite_default_target=True)
"""
OPENING = """\
# From `dejavu init --config {name}`, vlm-dejavu {version}. Begin in the folder above this one: `{first}`.
# This file is config/config.yaml, which every command takes by itself. Below, `make check` and `make plan` are
# `dejavu check` and `dejavu plan`, and a path docs/... is a page of the project.

"""


@dataclass(frozen=True)
class Configuration:
    """A configuration that comes with the package.

    Attributes:
        file: below the project's folder.
        about: what it is, in words.
        brings_data: whether its data are drawn, so that it runs as it is.
    """

    file: str
    about: str
    brings_data: bool = True


CONFIGURATIONS = {
    "tiny": Configuration(
        ".test/config/config.yaml", "every stage on drawn data in a minute or two; its numbers mean nothing"
    ),
    "demo": Configuration("config/config.yaml", "drawn data, with numbers that show the effect, in about ten minutes"),
    "studies": Configuration("config/studies.yaml", "four studies on drawn data, some hours"),
    "replicates": Configuration("config/replicates.yaml", "four pairs of models of two recipes on drawn data, hours"),
    "audit-checkpoint": Configuration("config/audit-checkpoint.yaml", "your checkpoint and its training list", False),
    "openclipart": Configuration("config/openclipart.yaml", "a public set of drawings, which you download", False),
    "laion-10m": Configuration("config/laion-10m.yaml", "the paper's scale, which you download", False),
}


def begin(folder: Path, name: str) -> str:
    """Write a folder from which ``dejavu run`` runs, and return what to do next.

    Args:
        folder: is made if it is missing.
        name: of one of :data:`CONFIGURATIONS`.

    Raises:
        InputError: when the name is unknown, or something that would be written is there already.
        OSError: when the folder cannot be written.
    """
    if name not in CONFIGURATIONS:
        raise InputError(
            f"there is no configuration {name!r}{closest(name, CONFIGURATIONS)}: --config takes "
            f"{', '.join(CONFIGURATIONS)}."
        )
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: name a folder.")
    chosen = CONFIGURATIONS[name]
    first = "dejavu run" if chosen.brings_data else "dejavu check"
    files = dict(_files(chosen, OPENING.format(name=name, version=__version__, first=first)))
    for path in files:
        if (folder / path).exists():
            raise InputError(f"{folder / path} is there already, and nothing is overwritten: name another folder.")
    for path, text in files.items():
        write_text(folder / path, text)
    written = f"Wrote {folder / 'config' / 'config.yaml'} ({name}: {chosen.about})."
    then = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    edited = "" if chosen.brings_data else "say in it where your data are, then "
    return f"{written}\nNext: {edited}{then}{first}"


def _files(chosen: Configuration, opening: str) -> Iterator[tuple[str, str]]:
    """Yield path and text of every file to write."""
    text = (BASE / chosen.file).read_text(encoding="utf-8")
    yield "config/config.yaml", opening + text
    for path in sorted(set(_architectures(yaml.safe_load(text)))):
        yield path, (BASE / path).read_text(encoding="utf-8")
    for path in PROFILES:
        yield path, (BASE / path).read_text(encoding="utf-8")
    yield "Snakefile", SNAKEFILE


def _architectures(part: Any) -> Iterator[str]:
    """Yield the architectures of a configuration that are files of this project."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "architecture" and str(value).endswith(".json") and (BASE / value).is_file():
                yield value
            else:
                yield from _architectures(value)
