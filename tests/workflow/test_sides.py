"""Models that are not trained here: checkpoints with declared membership, text encoders, and one-model tests."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.harness.project import CONFIG, Project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

SMALL = "config/architectures/small.json"


def rows(database: Path, query: str) -> list[tuple]:
    with duckdb.connect(str(database), read_only=True) as connection:
        return connection.execute(query).fetchall()


def sentence_model(folder: Path) -> Path:
    """A sentence-transformers model of random weights."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizer

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnop", *(f"##{c}" for c in "abcdefghijklmnop")]
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config).save_pretrained(folder / "bert")
    BertTokenizer(vocab={word: i for i, word in enumerate(words)}).save_pretrained(folder / "bert")
    modules = [Transformer(str(folder / "bert")), Pooling(16)]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "model"))
    return folder / "model"


@pytest.fixture(scope="module")
def declared(finished: Project, tmp_path_factory: pytest.TempPathFactory, once: Callable[[str], None]) -> Project:
    """The finished run's checkpoints measured as somebody else's, with their training samples listed."""
    once("declared")
    folder = tmp_path_factory.mktemp("declared")
    project = finished.copy(folder / "project")
    checkpoints, roles = {}, copy.deepcopy(CONFIG["splits"]["default"]["roles"])
    for side in "ab":
        uids = pq.read_table(project.results / "manifests" / f"{side}.parquet")["uid"].to_pylist()
        if side == "a":
            (project.folder / "members-a.txt").write_text("\r\n".join([*uids, "gone"]), encoding="utf-8-sig")
            roles[side] = {"uids": "members-a.txt", "max_missing": 0.05}
        else:
            pq.write_table(pa.table({"caption": ["x"] * len(uids), "key": uids}), project.folder / "training.parquet")
            roles[side] = {"uids": "training.parquet", "uids_column": "key"}
        path = project.folder / f"{side}.pt"
        path.write_bytes((project.results / "models" / "baseline" / side / "checkpoints" / "320.pt").read_bytes())
        checkpoints[side] = {"checkpoint": path.name, "architecture": SMALL, "torch_threads": 1}
    result = {"dataset": "wds/cars", "model": "small", "metrics": {"acc1": 0.25}}
    (project.folder / "cars.json").write_text(json.dumps(result))
    checkpoints["b"]["clip_benchmark"] = ["cars*.json"]
    config = copy.deepcopy(CONFIG)
    config["splits"] = {"declared": {"dataset": "demo", "roles": roles}}
    encoder = {"text_encoder": str(sentence_model(folder / "encoder"))}
    config["models"] = {
        "both": {"sides": checkpoints},
        "one": {"sides": {"a": {**checkpoints["a"], "search": "captions"}, "b": encoder}},
    }
    project.write_config(config)
    project.run()
    return project


def test_checkpoints_with_declared_membership_give_the_numbers_of_the_trained_models(
    finished: Project, declared: Project
) -> None:
    theirs = declared.folder / "results" / "demo" / "declared" / "memorization.duckdb"
    columns = "population, query, k, labels, scope, metric, value, mean, std, ci_low, ci_high, p_value, n, p_joint"
    query = f"SELECT {columns} FROM population_gaps WHERE model = '{{}}' ORDER BY ALL"
    ours = rows(finished.results / "memorization.duckdb", query.format("baseline"))
    assert ours
    assert rows(theirs, query.format("both")) == ours


def test_the_target_and_the_reference_search_what_they_are_told_to(declared: Project) -> None:
    database = declared.folder / "results" / "demo" / "declared" / "memorization.duckdb"
    assert rows(database, "SELECT model, side, kind, search FROM sides ORDER BY ALL") == [
        ("both", "a", "checkpoint", "images"),
        ("both", "b", "checkpoint", "images"),
        ("one", "a", "checkpoint", "captions"),
        ("one", "b", "text_encoder", "captions"),
    ]
    images, captions = (
        rows(database, f"SELECT row, rank, public_row FROM neighbors WHERE model = '{m}' AND side = 'a' ORDER BY ALL")
        for m in ("both", "one")
    )
    assert images != captions
    # a caption's nearest caption is nearer than any image to it
    nearest = "SELECT avg(similarity) FROM neighbors WHERE model = '{}' AND side = 'a' AND rank = 1"
    assert rows(database, nearest.format("one")) > rows(database, nearest.format("both"))


def test_how_images_are_prepared_for_a_checkpoint_is_noted(declared: Project) -> None:
    database = declared.folder / "results" / "demo" / "declared" / "memorization.duckdb"
    noted = rows(database, "SELECT kind, preprocessing, preprocessing_known FROM sides ORDER BY ALL")
    ours = "CLIP's mean and std, the central square, bicubic: as in the training of this workflow"
    assert noted == [("checkpoint", ours, True)] * 3 + [("text_encoder", None, None)]
    page = (database.parent / "report" / "index.html").read_text()
    assert "both, side b: b.pt; images are prepared with CLIP" in page


def test_the_digests_of_checkpoints_are_those_of_their_files(finished: Project, declared: Project) -> None:
    query = "SELECT DISTINCT name, sha256, bytes FROM hashes WHERE \"of\" = 'checkpoint' ORDER BY name, sha256"
    theirs = rows(declared.folder / "results" / "demo" / "declared" / "memorization.duckdb", query)
    files = [declared.folder / f"{side}.pt" for side in "ab"]
    assert theirs == [(path.name, *digest_and_size(path)) for path in files]
    trained = finished.results.glob("models/*/?/checkpoints/*.pt")
    ours = rows(finished.results / "memorization.duckdb", query)
    assert ours == sorted({(path.name, *digest_and_size(path)) for path in trained})


def digest_and_size(path: Path) -> tuple[str, int]:
    return hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size


def test_the_report_says_by_chance_only_where_the_split_drew_both_roles(finished: Project, declared: Project) -> None:
    listed = (declared.folder / "results" / "demo" / "declared" / "report" / "index.html").read_text()
    drawn = (finished.results / "report" / "index.html").read_text()
    assert ("by chance, so without" in drawn, "were not drawn by chance" in drawn) == (True, False)
    assert ("by chance, so without" in listed, "were not drawn by chance" in listed) == (False, True)


def test_what_clip_benchmark_has_measured_stands_beside_our_own_utility(declared: Project) -> None:
    database = declared.folder / "results" / "demo" / "declared" / "memorization.duckdb"
    taken = rows(database, "SELECT model, side, metric, value, n FROM utility WHERE task = 'clip_benchmark'")
    assert taken == [("both", "b", "wds/cars_acc1", 0.25, None)]
    assert "wds/cars acc1" in (database.parent / "report" / "index.html").read_text()


def test_attacks_that_need_a_second_image_encoder_are_left_out_of_a_one_model_test(declared: Project) -> None:
    database = declared.folder / "results" / "demo" / "declared" / "memorization.duckdb"
    attacks = ("clipmem", "csa", "reference_csa")
    found = rows(database, "SELECT DISTINCT model, side, attack FROM attacks ORDER BY ALL")
    assert found == [("both", s, attack) for s in "ab" for attack in attacks] + [("one", "a", "csa")]


def test_the_report_of_a_one_model_test_names_what_it_cannot_know(finished: Project, declared: Project) -> None:
    for page in (
        finished.results / "report" / "index.html",
        declared.folder / "results" / "demo" / "declared" / "report" / "index.html",
    ):
        text = page.read_text()
        assert "Limits of the one-model test" in text
        assert "that gap is not memorization" in text


def test_the_verdict_says_what_of_a_list_the_dataset_lacks(declared: Project) -> None:
    results = declared.folder / "results" / "demo" / "declared"
    found = rows(results / "memorization.duckdb", "SELECT role, samples, listed, missing FROM roles ORDER BY role")
    assert found == [("a", 50, 51, 1), ("b", 50, 50, 0), ("holdout", 60, None, None), ("public", 80, None, None)]
    told = "1 of 51 uids listed for role a are not in the dataset"
    lines = (results / "summary.txt").read_text().splitlines()
    # on objects and on membership
    subjects = [f"{model}: {about}" for model in ("both", "one") for about in ("Déjà vu", "Membership")]
    verdicts = [line for line in lines if line.startswith(tuple(subjects))]
    assert [line[: len(subject)] for line, subject in zip(verdicts, subjects, strict=True)] == subjects
    assert all(told in line for line in verdicts)
    page = (results / "report" / "index.html").read_text()
    assert told in page and "The list of role b has 50 uids, all of which are in the dataset" in page


def test_another_list_of_members_never_trains(declared: Project, tmp_path: Path) -> None:
    project = declared.copy(tmp_path / "project")
    path = project.folder / "members-a.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:40]))
    planned = project.planned()
    assert planned["manifest role=a"] == 1
    assert not any(job.startswith(("train", "ingest", "annotate", "duplicates")) for job in planned)
