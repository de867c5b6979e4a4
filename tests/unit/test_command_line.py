"""Values of --config have the types of the schema."""

from __future__ import annotations

from typing import Any

import pytest
from tests.harness.configurations import ROLES, STUDY, changed

from dejavu.errors import InputError


def entered_as(key: str, text: Any) -> dict:
    """What Snakemake reads of ``--config``, whose texts inside braces and brackets stay texts."""
    for part in reversed(key.split(".")):
        text = {part: text}
    return text


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("report.gallery", "3", 3),
        ("report.labels", "all", "all"),
        ("report.labels", "10", 10),
        ("measure.labels", ["1", "10", "all"], [1, 10, "all"]),
        ("measure.score_threshold", "0.25", 0.25),
        ("models.base.learning_rate", "1e-4", 1e-4),
        ("models.base.learn_temperature", "false", False),
        ("models.base.gradient_clip", "null", None),
        (f"{ROLES}.a.limit", "200", 200),
        ("studies.s.values", ["0", "0.2"], [0, 0.2]),
        ("datasets.demo.root", "2024", "2024"),
    ],
)
def test_texts_of_the_command_line_have_the_types_that_the_schema_says(load, key, text, value):
    given = changed(**{"studies.s": STUDY} if key.startswith("studies") else {})
    section = given
    *above, last = key.split(".")
    for part in above:
        section = section.setdefault(part, {})
    section[last] = text
    found = load(given, entered_as(key, text))
    for part in key.split("."):
        found = found[part]
    assert (found, type(found)) == (value, type(value))


def test_only_what_the_command_line_gave_is_read_by_the_schema(load):
    given = changed(**{"report.gallery": "3"})
    for entered in (None, {"report": {}}, {"report": {"k": "10"}}):
        with pytest.raises(InputError, match="'report.gallery' is \"3\", but it must be a whole number"):
            load(given, entered)


def test_a_wrong_value_of_the_command_line_is_refused_as_yaml_reads_it(load):
    for text, sentence in {
        "-1": "is -1, but it must be at least 0",
        "many": 'is "many", but it must be a whole',
    }.items():
        entered = {"report": {"gallery": text}}
        with pytest.raises(InputError, match=sentence):
            load(changed(**{"report.gallery": text}), entered)
