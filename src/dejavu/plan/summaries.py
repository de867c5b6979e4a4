"""What a run shows on the screen in the end: the result tables that it made, and where the reports are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dejavu.paths import DATABASE, REPORT, STUDY, SUMMARY, at


def study_folder(config: Mapping[str, Any], study: str) -> str:
    """Return the folder of a study, below its split's dataset."""
    split = config["splits"][config["studies"][study]["split"]]
    return at(STUDY, dataset=split["dataset"], study=study)


def new_summaries(config: Mapping[str, Any], since: float) -> Iterator[str]:
    """Yield the summary of every split and study that was written since a time, with the paths of what it sums up.

    Args:
        config: checked and complete.
        since: seconds of the epoch.
    """
    for split, section in config["splits"].items():
        report, database, summary = (
            at(pattern, dataset=section["dataset"], split=split) for pattern in (REPORT, DATABASE, SUMMARY)
        )
        yield from _shown(summary, since, {"Report:   ": f"{report}/index.html", "Database: ": database})
    for study in config["studies"]:
        folder = study_folder(config, study)
        yield from _shown(f"{folder}/summary.txt", since, {"Report:   ": f"{folder}/report/index.html"})


def _shown(summary: str, since: float, places: Mapping[str, str]) -> Iterator[str]:
    file = Path(summary)
    if file.is_file() and file.stat().st_mtime >= since:
        lines = [f"{name}{Path(path).resolve()}" for name, path in places.items()]
        yield "\n".join([file.read_text(encoding="utf-8"), *lines])
