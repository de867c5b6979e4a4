"""The page of a check: one HTML file with the findings and the pairs that the check looked at."""

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
    """Write one self-contained HTML file. Captions and labels come from strangers, so the template escapes them.

    Args:
        findings: the findings of :func:`dejavu.check.run.check`.
        title: title of the page: what was checked, and when.
        threshold: lowest score of an object that counts.
        templates: folder with ``check.html.j2`` and ``style.css``.
        page: file to write.
    """
    datasets = [
        {
            "name": name,
            "pairs": [_pair_values(pair, threshold) for pair in pairs[:SHOWN]],
            "ranks": findings.ranks.get(name, {}),
        }
        for name, pairs in findings.pairs.items()
    ]
    template = environment(templates).get_template("check.html.j2")
    looks = sum(finding.state == LOOK for finding in findings.found)
    counts = {"findings": findings.found, "faults": findings.faults, "looks": looks}
    write_text(page, template.render(title=title, datasets=datasets, **counts))


def _pair_values(pair: dict, threshold: float) -> dict:
    """Return the values of a pair for the template; each label says whether an object with it reaches the threshold."""
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
