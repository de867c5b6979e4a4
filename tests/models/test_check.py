"""What a configuration names is looked into before anything long is run, and every fault of it has one sentence."""

from __future__ import annotations

import copy
import io
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from dejavu.check.excerpt import take_excerpt
from dejavu.check.findings import FAULT, LOOK, OK, Findings
from dejavu.check.models import own_ranks
from dejavu.check.page import write_page
from dejavu.check.run import check
from dejavu.config import load_config
from dejavu.data.split import position
from dejavu.plan.datasets import Dataset
from dejavu.training.model import build, save_checkpoint
from tests.harness.pictures import encoded_image
from tests.harness.project import ROOT

PAIRS = 60
ROLES = {
    "a": {"uids": "members.txt"},
    "b": {"interval": [0.0, 0.3], "limit": 20},
    "public": {"interval": [0.3, 0.9]},
    "holdout": {"interval": [0.9, 1.0]},
}


@pytest.fixture
def mine(tmp_path, monkeypatch, picture, tiny_architecture) -> dict[str, Any]:
    """A checkpoint, a list of its members and raw parquet, and the configuration that names them."""
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    for file in range(3):
        numbers = range(file * 20, file * 20 + 20)
        table = pa.table(
            {
                "image": [picture(n) for n in numbers],
                "caption": [f"picture <{n}>" for n in numbers],
                "key": [f"key-{n}" for n in numbers],
                "objects": [[{"label": "cat", "score": 0.9}, {"label": f"<b>{n}", "score": 0.2}] for n in numbers],
            }
        )
        pq.write_table(table, f"data/{file}.parquet")
    Path("members.txt").write_text("".join(f"key-{n}\n" for n in range(0, PAIRS, 4)))
    torch.manual_seed(0)
    architecture = tiny_architecture()
    save_checkpoint(Path("model.pt"), build(architecture), 1, 32)
    columns = {"image": "image", "caption": "caption", "key": "key", "objects": "objects"}
    return {
        "datasets": {"mine": {"raw": ["data/*.parquet"], "columns": columns}},
        "splits": {"audit": {"dataset": "mine", "roles": copy.deepcopy(ROLES)}},
        "models": {
            "released": {
                "sides": {
                    "a": {"checkpoint": "model.pt", "architecture": architecture},
                    "b": {"text_encoder": "tfidf"},
                }
            }
        },
        "measure": {"k": [5]},
        "report": {"k": 5},
    }


def looked_at(given: dict) -> dict:
    return load_config(given, ROOT / "workflow/schemas/config.schema.yaml", ROOT)


@pytest.fixture
def looked_into() -> Callable[[dict], Findings]:
    return lambda given: check(looked_at(given), ROOT)


def told(findings: Findings, about: str, state: str) -> str:
    """What was said of something, in this state."""
    return " | ".join(finding.text for finding in findings.found if (finding.about, finding.state) == (about, state))


def test_what_is_right_is_told_with_its_numbers(mine, looked_into):
    findings = looked_into(mine)
    assert not findings.faults
    assert "60 pairs (raw files: 3); of 60 that were read 60 can be used" in told(findings, "datasets.mine", OK)
    objects = told(findings, "datasets.mine.annotate", OK)
    assert "120 objects in 60 images; 60 of them reach measure.score_threshold 0.5, and 60 images" in objects
    assert "15 samples are listed; 15 of 15" in told(findings, "splits.audit.roles.a", OK)
    # the 45 samples that are not listed have known positions
    supplied = [
        int(re.findall(r"about (\d+) samples", told(findings, f"splits.audit.roles.{role}", state))[0])
        for role, state in (("b", LOOK), ("public", OK), ("holdout", OK))
    ]
    assert sum(supplied) == 45
    assert "fewer than its limit 20" in told(findings, "splits.audit.roles.b", LOOK)
    assert "as in the training of this workflow" in told(findings, "models.released.sides.a", OK)
    assert len(findings.pairs["mine"]) == PAIRS
    assert sorted(findings.ranks["mine"]) == ["released.sides.a"]


def test_shards_alone_are_looked_into_as_parquet_is(mine, looked_into):
    for path in sorted(Path("data").iterdir()):
        with tarfile.open(path.with_suffix(".tar"), "w") as tar:
            for row in pq.read_table(path).to_pylist():
                for ending, data in (("png", row["image"]), ("txt", row["caption"].encode())):
                    info = tarfile.TarInfo(f"{row['key']}.{ending}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    mine["datasets"]["mine"] = {"root": "data", "raw": ["*.tar"]}
    findings = looked_into(mine)
    assert "60 pairs (raw files: 3); of 60 that were read 60 can be used" in told(findings, "datasets.mine", OK)
    assert "15 of 15" in told(findings, "splits.audit.roles.a", OK)
    assert "0 objects in 60 images" in told(findings, "datasets.mine.annotate", LOOK)


def test_captions_that_are_samples_are_listed_with_their_numbers_or_by_their_image(mine, looked_into):
    for path in sorted(Path("data").iterdir()):
        table = pq.read_table(path)
        texts = [[text, f"{text} again"] for text in table["caption"].to_pylist()]
        pq.write_table(table.set_column(1, "caption", pa.array(texts)), path)
    mine["datasets"]["mine"]["captions"] = "all"
    for uids in ([f"key-{n}" for n in range(15)], [f"key-{n}#{c}" for n in range(15) for c in (0, 1)]):
        Path("members.txt").write_text("\n".join(uids))
        findings = looked_into(mine)
        assert "15 images are listed; 15 of 15" in told(findings, "splits.audit.roles.a", OK)
        assert not findings.faults


def test_keys_that_are_null_or_no_unicode_name_nobody(mine, looked_into):
    path = Path("data/0.parquet")
    table = pq.read_table(path)
    keys = pa.array([None, b"k\xff", *[f"key-{n}".encode() for n in range(2, 20)]]).view(pa.string())
    pq.write_table(table.set_column(2, "key", keys), path)
    mine["datasets"]["mine"]["max_quarantined"] = 0.1
    Path("members.txt").write_text("".join(f"key-{n}\n" for n in range(2, 17)))
    assert "15 of 15" in told(looked_into(mine), "splits.audit.roles.a", OK)


def test_samples_that_are_duplicates_of_listed_ones_are_left_for_no_role(mine, looked_into):
    for path in sorted(Path("data").iterdir()):
        table = pq.read_table(path)
        same = pa.array([f"group {n % 5}" for n in range(20)])
        pq.write_table(table.set_column(1, "caption", same), path)
    Path("members.txt").write_text("".join(f"key-{n}\n" for n in range(5)))
    findings = looked_into(mine)
    for role in ("b", "public", "holdout"):
        assert "no sample will be left for it" in told(findings, f"splits.audit.roles.{role}", FAULT)


def test_captions_that_tell_members_from_others_are_noticed(mine, looked_into, picture):
    mine["splits"]["audit"]["roles"]["a"] = {"uids": "members.txt"}
    Path("members.txt").write_text("".join(f"key-{n}\n" for n in range(0, 120, 2)))
    captions = ["thing {} of {}".format(*pair) for pair in np.random.default_rng(0).integers(0, 1000, (120, 2))]
    for late in (False, True):
        told_by = [text + (" in 2024" if late and n % 2 else "") for n, text in enumerate(captions)]
        columns = {"image": [picture(n) for n in range(120)], "caption": told_by, "objects": [["cat"]] * 120}
        pq.write_table(pa.table(columns | {"key": [f"key-{n}" for n in range(120)]}), "data/0.parquet")
        for other in ("data/1.parquet", "data/2.parquet"):
            Path(other).unlink(missing_ok=True)
        said = told(looked_into(mine), "splits.audit.roles.a", LOOK if late else OK)
        assert "(60 each) are told apart without any model at ROC AUC" in said
        assert ("they are not of one distribution" in said) == late


def test_a_model_whose_weights_are_not_its_own_is_no_better_than_luck(mine, looked_into):
    said = told(looked_into(mine), "models.released.sides.a", LOOK)
    assert "of 60 captions" in said and "where chance has 50% ± 8%: the weights, their architecture" in said


def test_members_that_were_drawn_by_their_positions_leave_nothing_in_an_interval(mine, looked_into, tmp_path):
    mine["splits"]["audit"]["roles"]["b"] = {"interval": [0.0, 0.3]}
    excerpt = take_excerpt(Dataset.of("mine", looked_at(mine)["datasets"]["mine"]), tmp_path / "excerpt")
    names = {record["row"]: record["uid"] for record in excerpt.records("samples", ["row", "uid"])}
    drawn = [names[one["row"]] for one in excerpt.groups() if position(0, one["group_id"]) < 0.3]
    Path("members.txt").write_text("".join(f"{uid}\n" for uid in drawn))
    said = told(looked_into(mine), "splits.audit.roles.b", LOOK)
    assert "0% lie in its interval, where 30% are expected" in said and "splits.audit.seed" in said
    assert "no sample will be left for it" in told(looked_into(mine), "splits.audit.roles.b", FAULT)
    mine["splits"]["audit"]["seed"] = 1
    assert not told(looked_into(mine), "splits.audit.roles.b", LOOK)


def test_an_own_image_comes_after_those_that_are_as_near():
    images, captions = np.eye(4)[[1, 0, 2, 2]], np.eye(4)[[0, 0, 2, 2]]
    # the own image is behind all others, and the nearest; two own images are equal, so each comes second
    assert own_ranks(images, captions) == [4, 1, 2, 2]


def _lose_members(mine: dict) -> None:
    Path("members.txt").write_text("".join(f"KEY-{n}.jpg\n" for n in range(15)))


def _spoil_weights(mine: dict) -> None:
    Path("model.pt").write_text("not a checkpoint")


def _take_other_architecture(mine: dict) -> None:
    other = Path("other.json")
    content = json.loads(Path(mine["models"]["released"]["sides"]["a"]["architecture"]).read_text())
    other.write_text(json.dumps(content | {"embed_dim": 64}))
    mine["models"]["released"]["sides"]["a"]["architecture"] = "other.json"


def _lose_values(mine: dict) -> None:
    weights = torch.load("model.pt", weights_only=True)["model"]
    weights["visual.proj"][0, 0] = torch.nan
    save_file(weights, "bare.safetensors")
    mine["models"]["released"]["sides"]["a"]["checkpoint"] = "bare.safetensors"


def _ask_for_a_tokenizer(mine: dict) -> None:
    recipe = {"architecture": "ViT-B-16-SigLIP", "samples_seen": 1000, "loss": "siglip", "temperature": 0.1}
    mine["models"]["released"] = recipe | {"batch_size": 4}
    mine["splits"]["audit"]["roles"]["a"] = {"interval": [0.95, 1.0]}
    mine["splits"]["audit"]["roles"]["holdout"] = {"interval": [0.9, 0.95]}


def _cut_a_file(mine: dict) -> None:
    path = Path("data/2.parquet")
    path.write_bytes(path.read_bytes()[:-10])


def _spoil_pictures(mine: dict) -> None:
    for path in sorted(Path("data").iterdir()):
        table = pq.read_table(path)
        pq.write_table(table.set_column(0, "image", pa.array([b"no picture"] * len(table))), path)


def _score_in_percent(mine: dict) -> None:
    path = Path("data/1.parquet")
    objects = pa.array([[{"label": "cat", "score": 87.0}]] * 20)
    table = pq.read_table(path)
    pq.write_table(table.set_column(3, "objects", objects), path)


def _name_a_detector(mine: dict) -> None:
    Path("detector").mkdir()
    Path("detector/config.json").write_text('{"model_type": "bert"}')
    del mine["datasets"]["mine"]["columns"]["objects"]
    mine["datasets"]["mine"]["annotate"] = {"from": "detector", "model": "detector"}


def _import_other_uids(mine: dict) -> None:
    pq.write_table(pa.table({"uid": ["000", "001"], "label": ["cat", "dog"]}), "objects.parquet")
    del mine["datasets"]["mine"]["columns"]["objects"]
    mine["datasets"]["mine"]["annotate"] = {"from": "import", "files": ["objects.parquet"]}


def _bring_no_text_encoder(mine: dict) -> None:
    Path("encoder").mkdir()
    Path("encoder/config.json").write_text("{}")
    mine["models"]["released"]["sides"]["b"]["text_encoder"] = "encoder"


def _measure_with_labels_that_are_no_class(mine: dict) -> None:
    pq.write_table(pa.table({"image": [encoded_image(0)], "label": [7]}), "labelled.parquet")
    Path("classes.txt").write_text("sea\ncity\n")
    mine["utility"] = {"zero_shot": {"s": {"data": ["labelled.parquet"], "classes": "classes.txt"}}}


def _bring_results_of_something_else(mine: dict) -> None:
    Path("result.json").write_text("{}")
    mine["models"]["released"]["sides"]["a"]["clip_benchmark"] = ["result.json"]


def _list_everything(mine: dict) -> None:
    Path("members.txt").write_text("".join(f"key-{n}\n" for n in range(PAIRS)))


FAULTS = {
    "labels that are no class": (_measure_with_labels_that_are_no_class, "utility.zero_shot.s", "the label 7 is none"),
    "results of something else": (_bring_results_of_something_else, "models.released.sides.a", "no result of clip-"),
    "a list of everything": (_list_everything, "splits.audit.roles.public", "no sample will be left for it"),
    "members in another spelling": (_lose_members, "splits.audit.roles.a", "in the dataset"),
    "weights that are none": (_spoil_weights, "models.released.sides.a", "model.pt is no whole file of weights"),
    "another architecture": (_take_other_architecture, "models.released.sides.a", "differ in embed_dim"),
    "weights that are not finite": (_lose_values, "models.released.sides.a", "not finite"),
    "a tokenizer that is not there": (_ask_for_a_tokenizer, "models.released", "in the cache"),
    "a raw file that is cut": (_cut_a_file, "datasets.mine", "data/2.parquet is not a whole parquet file"),
    "pictures that are none": (_spoil_pictures, "datasets.mine", "60 cannot be used, 100.0%"),
    "scores in percent": (_score_in_percent, "datasets.mine.annotate", "87.0 is no number from 0 to 1"),
    "a detector of another kind": (_name_a_detector, "datasets.mine.annotate", "of the kind 'bert'"),
    "an import of other uids": (_import_other_uids, "datasets.mine.annotate", "none of the 2 imported images"),
    "a text encoder that is none": (_bring_no_text_encoder, "models.released.sides.b", "encoder"),
}


@pytest.mark.parametrize(("spoil", "about", "sentence"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found_before_the_run_and_what_is_right_beside_it_too(mine, looked_into, spoil, about, sentence):
    spoil(mine)
    findings = looked_into(mine)
    assert sentence in told(findings, about, FAULT)
    assert any(finding.state == OK for finding in findings.found)


def test_several_faults_are_found_at_once(mine, looked_into):
    _lose_members(mine)
    _spoil_weights(mine)
    _score_in_percent(mine)
    assert looked_into(mine).faults == 3


def test_the_page_shows_the_pairs_and_keeps_what_strangers_wrote_as_text(mine, looked_into, repository, tmp_path):
    findings = looked_into(mine)
    write_page(findings, "mine.yaml", 0.5, repository / "workflow/report/site", tmp_path / "check.html")
    page = (tmp_path / "check.html").read_text()
    assert page.count('<img src="data:image/jpeg;base64,') == 8
    assert "No fault was found; 3 lines need a look." in page and "mine.yaml" in page
    assert "picture &lt;" in page and "<b>" not in page.replace("<b>look</b>", "")
    for finding in findings.found:
        assert finding.about in page
