"""Samples that both sides are trained on: part of both training sets, asked about nowhere, and absent by default."""

from __future__ import annotations

import copy
from pathlib import Path

import pyarrow as pa
import pytest
from tests.harness.configurations import ROLES, STUDY, changed
from tests.harness.databases import write_database
from tests.harness.project import ROOT

from dejavu.config import load_config
from dejavu.costs.planning import plan_of
from dejavu.costs.work import work_of
from dejavu.data.disjoint import check_disjoint
from dejavu.data.duplicates import Criteria
from dejavu.data.split import manifest_counts
from dejavu.data.training_set import write_training_set
from dejavu.errors import InputError
from dejavu.files import read_table, write_table
from dejavu.plan.job_list import all_jobs
from dejavu.report.queries import Queries
from dejavu.report.site import environment
from dejavu.roles import drawing, trained_in
from dejavu.tables import FINGERPRINTS, MANIFEST
from dejavu.tables.roles import SHARED, roles_of, training_roles

SPLIT = "splits.default"
# takes half of the holdout's interval
SHARED_ROLE = {f"{ROLES}.shared": {"interval": [0.85, 1.0], "limit": 60}, f"{ROLES}.holdout.interval": [0.7, 0.85]}


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(**changes: object) -> dict:
    return load_config(changed(**changes), ROOT / "workflow/schemas/config.schema.yaml", ROOT)


def test_a_split_without_shared_samples_is_what_it_was() -> None:
    plain = load()["splits"]["default"]
    assert SHARED not in plain["roles"] and roles_of(plain) == ("a", "b", "public", "holdout")
    assert training_roles(plain, "a") == ("a",) and training_roles(plain, "b") == ("b",)


def test_shared_samples_move_no_sample_of_another_role() -> None:
    plain = load(**{f"{ROLES}.holdout.interval": [0.7, 0.85]})["splits"]["default"]
    split = load(**SHARED_ROLE)["splits"]["default"]
    assert training_roles(split, "b") == ("b", SHARED)
    assert all(drawing(split, role) == drawing(plain, role) for role in roles_of(plain))


def test_splits_share_a_training_only_where_they_share_its_whole_training_set() -> None:
    roles = changed(**SHARED_ROLE)["splits"]["default"]
    other, fewer = copy.deepcopy(roles), copy.deepcopy(roles)
    other["roles"]["public"]["limit"], fewer["roles"]["shared"]["limit"] = 150, 50
    plain = changed()["splits"]["default"]
    config = load(**{"splits": {"one": roles, "alike": other, "fewer": fewer, "plain": plain}})
    places = {split: trained_in(config, split, "base", "a") for split in config["splits"]}
    assert places == {"one": "alike", "alike": "alike", "fewer": "fewer", "plain": "plain"}


def test_replicates_deal_a_and_b_anew_and_keep_what_is_shared() -> None:
    splits = load(**SHARED_ROLE, **{f"{SPLIT}.replicates": 3})["splits"]
    further = splits["default.replicate-2"]
    assert training_roles(further, "a") == ("a", SHARED)
    assert drawing(further, SHARED) == drawing(splits["default"], SHARED)
    assert drawing(further, "a") != drawing(splits["default"], "a")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({f"{ROLES}.shared": None}, f"'{ROLES}.shared' is null, but it must be a section of keys"),
        ({f"{ROLES}.shared": {}}, f"'{ROLES}.shared.interval' is missing: add it, or uids"),
        ({f"{ROLES}.shred": {"interval": [0.9, 1.0]}}, "did you mean 'shared'"),
        ({f"{ROLES}.shared": {"interval": [0.9, 0.9]}}, "roles.shared.interval is .* which is empty"),
        ({f"{ROLES}.shared": {"interval": [0.9, 1.0]}}, "holdout .* and shared .* overlap"),
        (SHARED_ROLE | {f"{ROLES}.shared.limit": 900}, "roles.shared.limit is 900, but its interval .* lower"),
        (SHARED_ROLE | {"models.base.batch_size": 161}, "a.limit and .*shared.limit together are 160, fewer than one"),
        (SHARED_ROLE | {"datasets.demo.annotate": {"from": "none"}}, "roles.a: the dataset 'demo' has no objects"),
        ({"studies.s": {**STUDY, "axis": "shared_set_size", "values": [10, 20]}}, "has no role shared: add"),
    ],
)
def test_a_wrong_role_of_shared_samples_is_refused_in_one_sentence(changes: dict, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        load(**changes)
    assert "\n" not in str(error.value)


def test_a_batch_may_be_larger_than_a_role_if_the_training_set_fills_it() -> None:
    assert load(**SHARED_ROLE, **{"models.base.batch_size": 160})


def test_a_study_of_shared_samples_varies_their_limit_alone() -> None:
    study = {"axis": "shared_set_size", "values": [20, 60], "model": "base", "split": "default"}
    config = load(**SHARED_ROLE, **{"studies.s": study})
    assert [point["split"] for point in config["studies"]["s"]["points"]] == ["default.shared_set_size-20", "default"]
    roles, whole = (config["splits"][name]["roles"] for name in ("default.shared_set_size-20", "default"))
    assert roles == whole | {"shared": whole["shared"] | {"limit": 20}}


def manifest(path: Path, rows: list[int]) -> Path:
    records = [{"row": row, "uid": f"u{row}", "group_id": f"g{row}", "position": row / 100} for row in rows]
    write_table(path, pa.Table.from_pylist(records, MANIFEST), MANIFEST)
    return path


def test_a_training_set_is_the_samples_of_its_own_role_and_all_that_are_shared(tmp_path: Path) -> None:
    own, shared = manifest(tmp_path / "a.parquet", [5, 1, 9]), manifest(tmp_path / "shared.parquet", [7, 2])
    assert write_training_set([own, shared], tmp_path / "set.parquet") == 5
    assert read_table(tmp_path / "set.parquet")["uid"].to_pylist() == ["u5", "u1", "u9", "u7", "u2"]
    assert manifest_counts(tmp_path / "set.parquet")["rows_out"] == 5


@pytest.mark.parametrize("role", ["a", "b", "public", "holdout"])
def test_a_shared_sample_in_another_role_is_refused_naming_both(tmp_path: Path, role: str) -> None:
    members = {name: [10 * place] for place, name in enumerate(("a", "b", "public", "holdout", SHARED), start=1)}
    members[SHARED] += members[role]
    manifests = {name: manifest(tmp_path / f"{name}.parquet", rows) for name, rows in members.items()}
    rows = sorted({row for of_role in members.values() for row in of_role})
    prints = [dict.fromkeys(FINGERPRINTS.names, row) for row in rows]
    (tmp_path / "f").mkdir()
    write_table(tmp_path / "f" / "00000000.parquet", pa.Table.from_pylist(prints, FINGERPRINTS), FINGERPRINTS)
    criteria = Criteria(key=True, image=True, caption=True, near_image=None)
    with pytest.raises(InputError, match=f"roles {role} and shared share a sample"):
        check_disjoint(manifests, [tmp_path / "f"], criteria)


def test_shared_samples_are_drawn_joined_and_trained_on_and_nothing_else() -> None:
    # architectures that nothing has to be looked up for
    small = {f"models.{name}.architecture": "config/architectures/tiny.json" for name in ("base", "masked", "longer")}
    jobs = {}
    for name, changes in {"plain": {}, "shared": SHARED_ROLE}.items():
        planned = plan_of(changed(**small, **changes), {})
        trained = all_jobs(planned.config, planned.datasets, lambda split, model, letter: split)
        jobs[name] = {(job.stage, job.subject): work_of(job, planned) for job in trained}
    assert set(jobs["shared"]) - set(jobs["plain"]) == {
        ("manifest", "shared"),
        ("training_set", "a"),
        ("training_set", "b"),
    }
    assert set(jobs["plain"]) <= set(jobs["shared"])
    assert jobs["shared"]["training_set", "a"]["manifest_row"] == 100 + 60
    # a training is as long as its samples seen, whatever it is trained on
    assert jobs["shared"]["train", "base.a"] == jobs["plain"]["train", "base.a"]


def test_a_dataset_of_shared_samples_alone_needs_no_objects() -> None:
    far = {"datasets.far": {"synthetic": {"pairs": 500, "seed": 5}, "annotate": {"from": "none"}}}
    roles = {f"{ROLES}.shared": {"dataset": "far", "interval": [0.0, 1.0]}}
    small = {f"models.{name}.architecture": "config/architectures/tiny.json" for name in ("base", "masked", "longer")}
    planned = plan_of(changed(**small, **far, **roles), {})
    jobs = all_jobs(planned.config, planned.datasets, lambda split, model, letter: split)
    stages = {job.stage for job in jobs if job.dataset == "far"}
    assert "annotate" not in stages and {"ingest", "fingerprint", "duplicates"} <= stages
    (joined,) = [job for job in jobs if (job.stage, job.subject) == ("training_set", "a")]
    assert work_of(joined, planned)["manifest_row"] == 100 + 500


@pytest.mark.parametrize("is_trained", [True, False])
def test_the_report_says_how_many_samples_each_side_was_trained_on(tmp_path: Path, is_trained: bool) -> None:
    sizes = {"a": 1000, "b": 900, "public": 10, "holdout": 20, "shared": 40_000}
    rows = {"roles": [{"role": role, "dataset": "d", "samples": size} for role, size in sizes.items()]}
    if is_trained:
        joined = [("a", 41_000), ("b", 40_900)]
        rows["stages"] = [{"stage": "training_set", "subject": s, "rows_in": n, "rows_out": n} for s, n in joined]
    queries = Queries(write_database(tmp_path / "d.duckdb", rows), ROOT / "workflow" / "sql")
    template = environment(ROOT / "workflow" / "report" / "site").get_template("shared.html.j2")
    page = template.render(training_sets=queries.rows("training_sets"))
    assert "1,000 of role a and 40,000 of role shared" in page and "900 of role b" in page
    assert ("Side a was trained on 41,000 samples" in page) is is_trained
    # the roles that are asked about are those of before
    assert [row["role"] for row in queries.rows("query_roles")] == ["a", "b", "holdout"]
    assert "shared" not in template.render(training_sets=[])
