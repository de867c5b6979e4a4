"""Only what changed runs again: each edit of a finished project, and the jobs that Snakemake then plans."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.harness.project import CONFIG, Project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

TRAINED, SIDES, ROLES, POPULATIONS = (
    ("baseline", "masked"),
    "ab",
    ("a", "b", "holdout", "public"),
    ("a", "b", "holdout"),
)
STOPPED = (*TRAINED, "early")  # its sides are checkpoints of the masked model
MODELS = (*STOPPED, "one-model")  # its side a is the baseline's, its side b reads captions only

END = {"database", "figures", "report"}


def embeds(models=TRAINED, sides=SIDES, roles=ROLES) -> set[str]:
    return {f"embed model={m} role={r} side={s}" for m in models for s in sides for r in roles}


def neighbors(models=MODELS, sides=SIDES, populations=POPULATIONS) -> set[str]:
    return {
        f"{'tfidf_neighbors' if (m, s) == ('one-model', 'b') else 'neighbors'} model={m} population={p} side={s}"
        for m in models
        for s in sides
        for p in populations
    }


def query_neighbors(models=MODELS, sides=SIDES) -> set[str]:
    """Of what is asked besides captions, which side b of the one-model test is never asked."""
    asked = {(m, s) for m in models for s in sides} - {("one-model", "b")}
    return {f"query_neighbors model={m} side={s}" for m, s in asked}


def scores(models=MODELS, populations=POPULATIONS) -> set[str]:
    return {f"score model={m} population={p}" for m in models for p in populations}


def per_model(rule: str, models=MODELS) -> set[str]:
    return {f"{rule} model={m}" for m in models}


def per_side(rule: str, models=TRAINED, sides=SIDES) -> set[str]:
    return {f"{rule} model={m} side={s}" for m in models for s in sides}


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    return finished.copy(tmp_path / "project")


def edited(change: Callable[[dict], None]) -> dict:
    config = copy.deepcopy(CONFIG)
    change(config)
    return config


def roles_of(config: dict) -> dict:
    return config["splits"]["default"]["roles"]


def test_touching_every_source_plans_nothing(project: Project) -> None:
    for path in project.folder.rglob("*"):
        if path.is_file() and not {"results", ".snakemake", "logs"} & set(path.relative_to(project.folder).parts):
            os.utime(path)
    assert project.planned() == {}


def test_reordering_and_commenting_the_configuration_plans_nothing(project: Project) -> None:
    def turned(value):
        return {k: turned(value[k]) for k in reversed(value)} if isinstance(value, dict) else value

    config = edited(lambda c: c["measure"].update(queries=["rare", "caption", "remainder", "masked"]))
    text = "# a comment\n" + yaml.safe_dump(turned(config), sort_keys=False)
    (project.folder / "config" / "config.yaml").write_text(text)
    assert project.planned() == {}


def test_the_public_limit_trains_nothing_and_embeds_no_other_role(project: Project) -> None:
    project.write_config(edited(lambda c: roles_of(c)["public"].update(limit=90)))
    expected = {"manifest role=public"} | embeds(roles=["public"]) | neighbors() | scores() | per_model("population")
    expected |= per_side("attacks") | {"disjoint"} | query_neighbors()
    assert set(project.planned()) == expected | END


def test_the_limit_of_b_never_trains_side_a(project: Project) -> None:
    project.write_config(edited(lambda c: roles_of(c)["b"].update(limit=45)))
    expected = {"manifest role=b"} | per_side("train", sides="b") | embeds(sides="b") | embeds(sides="a", roles=["b"])
    expected |= neighbors(STOPPED, sides="b") | neighbors(populations=["b"]) | scores() | per_model("population")
    # the remainder and the rare words of a caption depend on all roles
    expected |= {"query_texts"} | per_side("embed_queries") | query_neighbors()
    expected |= per_side("utility", sides="b") | per_side("attacks") | {"disjoint"}
    assert set(project.planned()) == expected | END


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["measure"].update(k=[1, 5, 10]),
        lambda c: c["measure"].update(labels=[1, 3, "all"]),
    ],
    ids=["k", "labels"],
)
def test_k_and_labels_only_score_again(project: Project, change: Callable[[dict], None]) -> None:
    project.write_config(edited(change))
    assert set(project.planned()) == scores() | per_model("population") | per_side("attacks") | END


def test_the_score_threshold_never_annotates_again(project: Project) -> None:
    project.write_config(edited(lambda c: c["measure"].update(score_threshold=0.6)))
    # the remainder of a caption depends on the objects that count
    expected = {"query_texts"} | per_side("embed_queries") | query_neighbors()
    assert set(project.planned()) == expected | scores() | per_model("population") | per_side("attacks") | END


def test_other_queries_train_nothing_and_embed_no_image(project: Project) -> None:
    scored = scores() | per_model("population") | per_side("attacks") | END
    project.write_config(edited(lambda c: c["measure"].update(queries=["caption"])))
    assert set(project.planned()) == scored
    project.write_config(edited(lambda c: c["measure"].update(queries=["caption", "rare"])))
    assert set(project.planned()) == scored | per_side("embed_queries") | query_neighbors()


def test_how_captions_are_masked_as_queries_only_embeds_queries_again(project: Project) -> None:
    project.write_config(edited(lambda c: c["measure"].update(masked={"captions": 3})))
    expected = per_side("embed_queries") | query_neighbors() | scores() | per_model("population")
    assert set(project.planned()) == expected | per_side("attacks") | END
    # models whose training hides nothing are masked as measure.masked says
    project.write_config(edited(lambda c: c["measure"].update(masked={"text_mask": 0.3})))
    plain = ["baseline", "one-model"]
    expected = per_side("embed_queries", ["baseline"]) | query_neighbors(plain) | scores(plain)
    expected |= per_model("population", plain) | per_side("attacks", ["baseline"])
    assert set(project.planned()) == expected | END


def test_samplings_only_make_the_statistics_again(project: Project) -> None:
    project.write_config(edited(lambda c: c["measure"].update(samplings={"repeats": 30})))
    assert set(project.planned()) == per_model("population") | END


def test_another_number_of_resamples_only_resamples_again(project: Project) -> None:
    project.write_config(edited(lambda c: c["measure"].update(bootstrap=150)))
    assert set(project.planned()) == per_model("population") | per_side("attacks") | per_side("utility") | END


def test_benchmarks_of_utility_only_evaluate_again(project: Project) -> None:
    benchmark = {"zero_shot": {"scenes": {"synthetic": "demo"}}}
    project.write_config(edited(lambda c: c.update(utility=benchmark)))
    assert set(project.planned()) == {"evaluation_data"} | per_side("utility") | END


def test_the_text_mask_of_a_model_runs_that_model(project: Project) -> None:
    project.write_config(edited(lambda c: c["models"]["masked"].update(text_mask=0.4)))
    model, both = ["masked"], ["masked", "early"]
    expected = {"recipe model=masked"} | (
        per_side("train", model) | embeds(model) | neighbors(both) | scores(both) | per_model("population", both)
    )
    expected |= per_side("utility", model) | per_side("attacks", model)
    expected |= per_side("embed_queries", model) | query_neighbors(both)
    assert set(project.planned()) == expected | END


def test_two_edits_at_once_do_what_each_of_them_does(project: Project) -> None:
    config = edited(lambda c: c["models"]["masked"].update(text_mask=0.4))
    roles_of(config)["b"].update(limit=45)
    roles_of(config)["public"].update(limit=90)
    project.write_config(config)
    trained = {job for job in project.planned() if job.startswith("train")}
    assert trained == per_side("train", ["masked"]) | per_side("train", sides="b")


def test_another_architecture_trains_again_also_beside_another_edit(project: Project) -> None:
    path = project.folder / "config" / "architectures" / "small.json"
    path.write_text(path.read_text().replace('"layers": 1', '"layers": 2', 1))
    project.write_config(edited(lambda c: roles_of(c)["public"].update(limit=90)))
    assert {job for job in project.planned() if job.startswith("train")} == per_side("train")


@pytest.mark.parametrize(
    "file", ["workflow/report/site/style.css", "workflow/report/site/index.html.j2", "workflow/report/figures/gaps.rst"]
)
def test_a_text_or_style_of_the_report_builds_the_report(project: Project, file: str) -> None:
    with (project.folder / file).open("a") as handle:
        handle.write("\n")
    assert set(project.planned()) == {"report"}


def test_a_query_of_the_report_draws_it_again(project: Project) -> None:
    with (project.folder / "workflow/sql/tradeoff.sql").open("a") as handle:
        handle.write("\n")
    assert set(project.planned()) == {"figures", "report"}


def test_how_training_reads_ahead_and_which_engine_searches_changes_no_result(project: Project) -> None:
    def change(config: dict) -> None:
        config.update(training={"workers": 2, "state_minutes": 7})
        config["measure"]["search"] = "float32"

    project.write_config(edited(change))
    assert set(project.planned()) == END  # the database holds the whole configuration
    project.write_config(edited(lambda c: c["measure"].update(embed_workers=1)))
    assert set(project.planned()) == END


def test_bfloat16_embeds_again_and_trains_nothing(project: Project) -> None:
    project.write_config(edited(lambda c: c["measure"].update(embed_precision="bf16")))
    searched = {job for job in neighbors() if not job.startswith("tfidf")} | query_neighbors()
    measured = scores() | per_model("population") | per_side("attacks") | per_side("utility")
    assert set(project.planned()) == embeds() | per_side("embed_queries") | searched | measured | END


def edit(project: Project, module: str, *replaced: tuple[str, str]) -> None:
    """Replaces texts of a file that have to be there."""
    path = project.folder / module
    text = path.read_text()
    for old, new in replaced:
        assert old in text, old
        text = text.replace(old, new)
    path.write_text(text)


def test_words_plan_nothing_wherever_they_are_edited(project: Project) -> None:
    for path in [*(project.folder / "src").rglob("*.py"), *(project.folder / "workflow" / "scripts").glob("*.py")]:
        text = path.read_text()
        path.write_text("# a comment\n" + re.sub(r'"""(?=[A-Z])', '"""Edited. ', text) + "\n# the end\n")
    source = "src/dejavu"
    edit(project, f"{source}/training/loop.py", ("fewer than one batch of", "less than a batch of"))
    edit(project, f"{source}/training/state.py", ("is not used: it is in", "is left alone in"))
    edit(project, f"{source}/data/quarantine.py", ("raw rows cannot be used", "raw rows are of no use"))
    edit(project, f"{source}/progress.py", ("left", "to go"))
    edit(project, f"{source}/errors.py", ("did you mean", "perhaps"), ("make room", "delete something"))
    edit(project, "workflow/scripts/manifest.py", ("{count:,} samples", "{count:,} pairs of the role"))
    edit(project, "workflow/scripts/embed.py", ('words(f"embed', 'words(f"encode'))
    edit(
        project,
        "workflow/schemas/dataset.schema.yaml",
        ("description: Number of images.", "description: How many images."),
    )
    assert project.planned() == {}


def test_a_key_of_a_recipe_that_is_new_or_written_out_at_its_default_plans_nothing(project: Project) -> None:
    edit(
        project,
        "workflow/schemas/model.schema.yaml",
        ("  gray_scale:\n", "  sharpness: {type: number, default: 0}\n  gray_scale:\n"),
    )
    project.write_config(
        edited(lambda c: c["models"]["baseline"].update(learning_rate=0.001, text_mask_with="nothing"))
    )
    assert project.planned() == {}


def test_a_formula_runs_the_statistics_again(project: Project) -> None:
    edit(
        project,
        "src/dejavu/memorization/metrics.py",
        ('np.sign(of["recall_a"] - of["recall_b"])', 'np.sign(of["recall_b"])'),
    )
    assert set(project.planned()) == per_model("population") | END


def test_a_figure_s_module_draws_the_figures_again(project: Project) -> None:
    edit(project, "src/dejavu/report/figures/top_l.py", ('"recall gap"', '"gap of recall"'))
    assert set(project.planned()) == {"figures", "report"}


def test_a_column_of_the_report_draws_it_again(project: Project) -> None:
    edit(
        project,
        "workflow/sql/result_table.sql",
        ("    memorized.std,\n", "    memorized.std,\n    memorized.std AS spread,\n"),
    )
    assert set(project.planned()) == {"figures", "report"}
    edit(project, "src/dejavu/tables/database.py", ('"number of cells that', '"how many cells'))
    assert set(project.planned()) == END


def upgrade(project: Project, *arguments: str) -> str:
    command = [sys.executable, "-m", "dejavu.upgrade", *arguments]
    environment = os.environ | {"PYTHONPATH": str(project.folder / "src")}
    done = subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_change_of_training_trains_again_unless_its_results_are_taken_by_name(project: Project) -> None:
    module = "src/dejavu/training/text.py"
    before = (project.folder / module).read_text()
    edit(project, module, ("draws >= self._mask", "draws > self._mask"))
    planned = set(project.planned())
    early = neighbors(sides="a") | neighbors(STOPPED) | scores() | per_model("population")
    trained = {f"recipe model={m}" for m in TRAINED} | per_side("train") | embeds()
    early |= per_side("embed_queries") | query_neighbors()
    assert planned == trained | early | per_side("utility") | per_side("attacks") | END

    assert "train " in upgrade(project, "--list") and set(project.planned()) == planned
    # make upgrade takes no other edit along
    project.write_config(edited(lambda c: c["measure"].update(samplings={"repeats": 30})))
    told = upgrade(project)
    steps = {line.split()[0]: line for line in told.splitlines() if line.startswith("  ")}
    # the same code masks captions in training and as queries
    assert steps.keys() == {"recipe", "train", "embed_queries"}
    # of four trainings the checkpoints and the metrics
    assert "8 outputs" in steps["train"] and "train.py" in steps["train"]
    assert set(project.planned()) == per_model("population") | END
    project.write_config(CONFIG)
    assert project.planned() == {}
    assert "every step is that which made" in upgrade(project)

    (project.folder / module).write_text(before)
    assert per_side("train") <= set(project.planned())
    assert upgrade(project).count("outputs") == 3
    assert project.planned() == {}


def test_every_rule_carries_the_hash_of_its_code(project: Project) -> None:
    for file in sorted((project.folder / "workflow" / "rules").glob("*.smk")):
        rules = re.split(r"\n *rule ", file.read_text())[1:]
        for body in rules:
            name = body.split(":")[0]
            if "    output:" not in body:
                continue  # made anew every time
            assert "code=code(" in body, f"rule {name} would not notice an edit of the library"
            for part in ('"""', "log:", "benchmark:", "resources:", "conda:", "script:"):
                assert part in body, f"rule {name} has no {part}"
