"""Reports of Snakemake itself, as a zip file."""

from __future__ import annotations

import html
import json
import re
import zipfile
from pathlib import Path
from typing import Any


def assert_opens_with_answer(archive: Path, summary: Path, *, dataset: str) -> str:
    """Fail where the first page lacks the question or a sentence of a summary, or a file the name of its dataset.

    Returns:
        The text of the page and its scripts.
    """
    with zipfile.ZipFile(archive) as packed:
        names = packed.namelist()
        page = b"".join(packed.read(name) for name in names if name.endswith((".html", ".js"))).decode()
    assert any(name.endswith("index.html") for name in names)
    landing = html.unescape(re.sub(r"<[^>]+>", "", _javascript(page, "workflow_desc")))
    assert "What do the models remember of single images" in landing
    assert "System Message" not in landing
    sentences = summary.read_text(encoding="utf-8").rstrip().split("\n\n")[-1].splitlines()
    assert sentences
    for sentence in sentences:
        assert sentence in " ".join(landing.split())
    results = _javascript(page, "results")
    # figures, tables, the site
    assert len(results) > 10
    for result in results.values():
        assert result["labels"]["dataset"] == dataset and result["labels"].keys() & {"split", "study"}, result["name"]
    return page


def _javascript(page: str, variable: str) -> Any:
    """Return the value of a variable that the report sets in its page."""
    return json.JSONDecoder().raw_decode(page, re.search(rf'var {variable} = (?=[{{"])', page).end())[0]
