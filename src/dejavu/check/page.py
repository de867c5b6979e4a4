"""The page of a check: one file with what was found and the pairs that were looked at."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from dejavu.check.excerpt import SHOWN
from dejavu.check.findings import LOOK, Findings
from dejavu.data.images import decode_rgb
from dejavu.files import write_text
from dejavu.report.site import THUMBNAIL, environment


def write_page(findings: Findings, title: str, threshold: float, templates: Path, page: Path) -> None:
    """Writes one HTML file that needs no other; captions and labels are strangers', and escaped.

    Args:
        findings: of :func:`dejavu.check.run.check`.
        title: what was checked, and when.
        threshold: the score from which an object counts.
        templates: folder with ``check.html.j2`` and ``style.css``.
        page: file to write.
    """
    datasets = [
        {
            "name": name,
            "pairs": [_shown(pair, threshold) for pair in pairs[:SHOWN]],
            "ranks": findings.ranks.get(name, {}),
        }
        for name, pairs in findings.pairs.items()
    ]
    made = environment(templates).get_template("check.html.j2")
    looks = sum(finding.state == LOOK for finding in findings.found)
    found = {"findings": findings.found, "faults": findings.faults, "looks": looks}
    write_text(page, made.render(title=title, datasets=datasets, **found))


def _shown(pair: dict, threshold: float) -> dict:
    image = decode_rgb(pair["image"])
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=90)
    objects: dict[str, bool] = {}
    for labelled in pair.get("objects", []):
        if labelled is not None and labelled["label"]:
            objects[labelled["label"]] = objects.get(labelled["label"], False) or labelled["score"] >= threshold
    return {
        "uid": pair["uid"],
        "caption": pair["caption"],
        "image": base64.b64encode(buffer.getvalue()).decode(),
        "objects": sorted(objects.items()),
    }
