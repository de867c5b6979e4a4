"""What leaves with a report: the audit's numbers are the queries', and names stay text in Markdown and LaTeX."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import jsonschema
import pytest
from tests.harness import hostile
from tests.harness.project import ROOT

from dejavu.report.audit import OF_A_MODEL, OF_THE_RUN, validator
from dejavu.report.markup import latex, latex_table, markdown, markdown_table
from dejavu.report.queries import Queries
from dejavu.report.site import write_site
from dejavu.report.take_along import FILES, along, write_take_along

WORKFLOW = ROOT / "workflow"
SCHEMA = WORKFLOW / "schemas" / "audit.schema.json"


@pytest.fixture(scope="module")
def queries(tmp_path_factory: pytest.TempPathFactory) -> Queries:
    path = tmp_path_factory.mktemp("database") / "memorization.duckdb"
    return Queries(hostile.database(path), WORKFLOW / "sql")


@pytest.fixture(scope="module")
def taken(queries: Queries, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "take-along"
    write_take_along(queries, WORKFLOW, folder, dataset="mine", split="default")
    return folder


def finite(row: dict) -> dict:
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}


def test_every_number_of_the_audit_is_that_of_the_query_that_it_names(queries, taken) -> None:
    audit = json.loads((taken / "audit.json").read_text())
    assert set(audit["queries"]) == {*OF_THE_RUN, *OF_A_MODEL}
    compared = 0
    for part, file in audit["queries"].items():
        rows = [finite(row) for row in queries.rows(Path(file).stem)]
        found = audit[part] if part in OF_THE_RUN else [row for model in audit["models"] for row in model[part]]
        assert sorted(map(repr, found)) == sorted(repr(dict(sorted(row.items()))) for row in rows), part
        compared += len(rows)
    assert compared > 20
    assert [model["model"] for model in audit["models"]] == list(hostile.MODELS)
    assert audit["written_by"] == {row["key"]: row["value"] for row in queries.rows("provenance")}


def test_the_audit_is_of_the_schema_that_is_shipped_and_the_schema_refuses_others(taken) -> None:
    audit = json.loads((taken / "audit.json").read_text(), parse_constant=pytest.fail)
    validator(SCHEMA).validate(audit)
    for change in ({"schema_version": "9"}, {"invented": 1}, {"models": [{}]}, {"draws": "many"}):
        with pytest.raises(jsonschema.ValidationError):
            validator(SCHEMA).validate(audit | change)


def test_the_schema_has_every_column_of_every_query_and_no_other(queries) -> None:
    parts = json.loads(SCHEMA.read_text())["$defs"]
    for part, query in (OF_THE_RUN | OF_A_MODEL).items():
        assert list(parts[part]["properties"]) == queries.table(query).column_names, part


def test_the_card_says_verdict_gap_control_limit_and_checkpoint_of_every_model(taken) -> None:
    card = (taken / "model-card.md").read_text()
    for words in ("objects detected: 0.250", "| caption | +0.250 | [+0.200, +0.300] | +0.062 | [+0.012, +0.113] | 4 |"):
        assert card.count(words) == len(hostile.MODELS)
    for words in ("any ε below 1.50", "A gap below 0.125", "2" * 64, "0" * 64, f"commit {'f' * 40} with changed files"):
        assert words in card


def test_what_is_cited_is_in_the_references_and_every_reference_is_cited_somewhere(taken) -> None:
    cited = {key for name in FILES for key in re.findall(r"@([a-z]+\d{4}[a-z]+)\b(?!,)", (taken / name).read_text())}
    entries = set(re.findall(r"^@\w+\{(\w+),$", (taken / "references.bib").read_text(), re.MULTILINE))
    assert entries == cited
    templates = "".join(file.read_text() for file in (WORKFLOW / "report" / "take-along").glob("*.j2"))
    everything = re.findall(
        r"^@\w+\{(\w+),$", (WORKFLOW / "report/take-along/references.bib").read_text(), re.MULTILINE
    )
    assert all(f"@{key}" in templates for key in everything)


def test_names_from_elsewhere_stay_text_in_markdown_and_latex(taken) -> None:
    text = (taken / "methods.md").read_text()
    assert r"weights \[v2\](final)\|x\_1.pt" in text
    assert markdown("# a\n- b <i> [x](y) `c` | d") == r"\# a - b \<i\> \[x\](y) \`c\` \| d"
    assert markdown("- item") == r"\- item" and markdown("1. item") == r"1\. item"
    assert markdown("[+0.1, -2] (p)") == "[+0.1, -2] (p)" and markdown("[1](x)") == r"\[1\](x)"
    assert latex("50 % of a_b & {c} $x^2$ \\d~") == (
        r"50 \% of a\_b \& \{c\} \$x\textasciicircum{}2\$ \textbackslash{}d\textasciitilde{}"
    )
    assert "\u202e" not in markdown("a\u202eb") and "\x1b" not in latex("a\x1b[2Jb")
    assert markdown_table(["h"], [["a|b"]]) == "| h |\n| --- |\n| a\\|b |\n"
    assert r"a\_b & 5\% \\" in latex_table(["x", "y"], [["a_b", "5%"]], caption="c", label="l")


def test_the_page_links_all_that_can_be_taken_along_and_names_versions_and_hashes(
    queries, taken, tmp_path, write_batch
) -> None:
    site = tmp_path / "site"
    folder = hostile.samples(tmp_path / "samples", write_batch)
    write_site(queries, [], [folder], WORKFLOW / "report" / "site", site, title="mine")
    page = (site / "provenance.html").read_text()
    linked = set(re.findall(r'href="take-along/([^"]+)"', page))
    assert linked == {path.relative_to(taken).as_posix() for path in taken.rglob("*") if path.is_file()}
    for row in [*along(queries)["hashes"], *along(queries)["provenance"]]:
        assert str(row.get("sha256", row.get("value")) or "not known") in page


def test_a_thumbnail_has_nothing_of_what_a_photo_says_of_itself(queries, tmp_path, write_batch) -> None:
    folder = hostile.samples(tmp_path / "samples", write_batch)
    held = b"".join(hostile.pictures())
    assert all(secret.encode() in held for secret in hostile.SECRETS)
    write_site(queries, [], [folder], WORKFLOW / "report" / "site", tmp_path / "site", title="mine")
    images = sorted((tmp_path / "site").rglob("*.jpg"))
    assert [image.stem for image in images] == ["0", "1", "2", "3", "4"]
    for image in images:
        data = image.read_bytes()
        header = data[: data.index(b"\xff\xda")]
        # a comment; EXIF and XMP; a profile; texts of editors
        assert not any(marker in header for marker in (b"\xff\xfe", b"\xff\xe1", b"\xff\xe2", b"\xff\xed"))
        assert not any(secret.encode() in data for secret in hostile.SECRETS)
