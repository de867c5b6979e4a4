"""docs/guides/audit-your-checkpoint.md to the letter: its configuration, marked lines changed, leads to a report.

A list of members of another distribution than the rest leads to no verdict.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from dejavu.data.synthetic import make_pairs, make_world, raw_schema
from dejavu.memorization.verdicts import CANNOT_SAY
from dejavu.training.model import build
from tests.harness.detectors import owl
from tests.harness.pictures import encoded_image
from tests.harness.project import ROOT, Project
from tests.harness.shown_numbers import assert_shown

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
    bring_checkpoint(project)


def bring_checkpoint(project: Project) -> None:
    torch.manual_seed(1)
    weights = build(str(project.folder / "config/architectures/small.json")).model.state_dict()
    path = project.folder / "audit" / "model.pt"
    torch.save({"epoch": 1, "state_dict": {f"module.{n}": w for n, w in weights.items()}}, path)


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
    with duckdb.connect(str(results / "memorization.duckdb"), read_only=True) as connection:
        asked = connection.execute("SELECT count(*), bool_or(is_apart) FROM blind_baseline").fetchone()
    assert asked == (3, False)


def test_members_of_another_world_than_the_rest_lead_to_no_verdict(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "project")
    pairs = project.folder / "audit" / "pairs"
    pairs.mkdir(parents=True)
    # enough captions for the baseline to be sure
    for world, number in ((0, 20 * MEMBERS), (1, 5 * MEMBERS)):
        drawn = [
            {name: pair[name] for name in raw_schema().names}
            for pair in make_pairs(make_world(world), 0, number, size=32)
        ]
        pq.write_table(pa.Table.from_pylist(drawn, schema=raw_schema()), pairs / f"{world}.parquet")
    (project.folder / "audit" / "members.txt").write_text("\n".join(pair["key"] for pair in drawn))
    bring_checkpoint(project)
    config = yaml.safe_load(edited())
    del config["datasets"]["audit"]["annotate"], config["datasets"]["audit"]["duplicates"]
    config["datasets"]["audit"]["columns"]["objects"] = "objects"
    (project.folder / "audit.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    project.run("--configfile", "audit.yaml")
    results = project.folder / "results" / "audit" / "audit"
    with duckdb.connect(str(results / "memorization.duckdb"), read_only=True) as connection:
        apart = connection.execute("SELECT role, other, is_apart FROM blind_baseline").fetchall()
        said = connection.execute("SELECT about, verdict, sentence FROM verdicts ORDER BY about").fetchall()
    assert sorted(apart) == [("a", "b", True), ("a", "holdout", True), ("b", "holdout", False)]
    assert [(about, verdict) for about, verdict, _ in said] == [("membership", CANNOT_SAY), ("objects", CANNOT_SAY)]
    assert all("Captions alone" in sentence for *_, sentence in said)
    assert_shown("blind-baseline-table", results)
    page = (results / "report" / "index.html").read_text()
    assert "This run cannot say whether released remembers training images" in page
