"""docs/guides/audit-your-checkpoint.md to the letter: its configuration, marked lines changed, leads to a report."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from dejavu.training.model import build
from tests.harness.detectors import owl
from tests.harness.pictures import encoded_image
from tests.harness.project import ROOT, Project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

PAIRS, MEMBERS = 360, 120
# text of a marked line -> its replacement; all other lines stay as they are shipped
EDITS = {
    "vocabulary: coco": "vocabulary: audit/labels.txt",
    "architecture: ViT-B-32": "architecture: config/architectures/small.json",
}


def bring(project: Project) -> None:
    """The four things of the page, small: a checkpoint of random weights in the form of open_clip_train among them."""
    folder = project.folder / "audit"
    (folder / "pairs").mkdir(parents=True)
    (folder / "detector").mkdir()
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("bdfglmnrst"), 5)) for _ in range(300)]
    for file in range(3):
        numbers = range(file * PAIRS // 3, (file + 1) * PAIRS // 3)
        columns = {
            "image": [encoded_image(n) for n in numbers],
            "caption": [" ".join(rng.choice(words, 6)) for _ in numbers],
            "key": [f"{n:06d}" for n in numbers],
        }
        pq.write_table(pa.table(columns), folder / "pairs" / f"{file}.parquet")
    members = sorted(rng.choice(PAIRS, MEMBERS, replace=False).tolist())
    (folder / "members.txt").write_text("".join(f"{n:06d}\n" for n in members))
    (folder / "labels.txt").write_text("star\nring\n")
    torch.manual_seed(0)
    owl(folder / "detector", "owlv2")
    weights = build(str(project.folder / "config/architectures/small.json")).model.state_dict()
    torch.save({"epoch": 1, "state_dict": {f"module.{n}": w for n, w in weights.items()}}, folder / "model.pt")


def edited() -> str:
    """The configuration with values changed in marked lines only, or in lines below a marked comment."""
    lines = (ROOT / "config" / "audit-checkpoint.yaml").read_text().splitlines()
    for old, new in EDITS.items():
        (at,) = [i for i, line in enumerate(lines) if old in line and not line.lstrip().startswith("#")]
        above = itertools.takewhile(lambda line: line.lstrip().startswith("#"), reversed(lines[:at]))
        assert "EDIT" in "".join([lines[at], *above])
        lines[at] = lines[at].replace(old, new)
    return "\n".join(lines)


def test_the_page_leads_from_a_checkpoint_and_its_list_to_a_report(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "guides" / "audit-your-checkpoint.md").read_text()
    assert "cp config/audit-checkpoint.yaml audit.yaml" in page and "--configfile audit.yaml" in page
    project = Project.make(tmp_path / "project")
    bring(project)
    (project.folder / "audit.yaml").write_text(edited())
    looked = project.run("check", "--configfile", "audit.yaml")
    for told in (
        "120 samples are listed; 120 of 120 that were looked for are in the dataset",
        "120 each) are told apart without any model at ROC AUC",
        "find their own image first among 64 images, where chance finds 1",
        "images are prepared with mean 0.4815",
    ):
        assert told in looked
    project.run("--configfile", "audit.yaml")
    results = project.folder / "results" / "audit" / "audit"
    (where,) = re.findall(r"`(results/\S+/index.html)`", page)
    assert (project.folder / where).is_file()
    assert (results / "memorization.duckdb").is_file()
    guessed = "How images were prepared for the checkpoint of side a is not known"
    assert guessed in (results / "summary.txt").read_text()
    report = (project.folder / where).read_text()
    gallery = (project.folder / where).with_name("gallery.html").read_text()
    assert "nothing can be said of a single sample" in gallery and "among the – %" not in gallery
    assert guessed in report and "small.json has no pretrained tags" in report
    counts = {path.stem: pq.read_metadata(path).num_rows for path in (results / "manifests").glob("*.parquet")}
    assert counts["a"] == MEMBERS and sum(counts.values()) == PAIRS
