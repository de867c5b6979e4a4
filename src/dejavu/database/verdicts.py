"""The verdicts on every model of a database, from what its other tables hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import duckdb

from dejavu.memorization.verdicts import Grounds, Verdict, verdicts
from dejavu.tables.fields import POPULATIONS
from dejavu.tables.queries import CAPTION, RANDOM

_MEASURED = "SELECT DISTINCT model, epoch FROM population_gaps ORDER BY model, epoch"
_CELLS = "SELECT * FROM population_gaps WHERE model = ? AND epoch = ? AND population = 'symmetric' ORDER BY ALL"
_MEMORIES = """
    SELECT right(population, 1) AS side, min(p_joint) AS p FROM population_gaps
    WHERE model = ? AND epoch = ? AND population IN ('memory_a', 'memory_b') GROUP BY population ORDER BY population
"""
# attacks on a side of another model are filed under that model; only csa needs no cosine under the other side
_ATTACKS = """
    SELECT found.*, control.value AS null_value
    FROM sides
    JOIN reference_sides AS reference ON reference.model = sides.model
    JOIN attacks AS found
        ON found.side = sides.side
        AND found.model = CASE sides.kind WHEN 'model' THEN sides.source ELSE sides.model END
    JOIN attacks AS control
        ON control.model = found.model
        AND control.epoch = found.epoch
        AND control.side = found.side
        AND control.attack = found.attack
    WHERE sides.model = ? AND found.epoch = ? AND found.metric = 'roc_auc' AND control.metric = 'roc_auc_null'
        AND (found.attack = 'csa' OR NOT reference.is_one_model)
    ORDER BY found.side, found.attack
"""
_RETRIEVAL = """
    SELECT
        avg(value) FILTER (metric LIKE '%recall@10') AS recall,
        avg(value) FILTER (metric LIKE '%chance@10') AS chance
    FROM utility WHERE model = ? AND epoch = ? AND task = 'retrieval'
"""
_RECALL = """
    SELECT avg(recall_a) AS a, avg(recall_b) AS b FROM sample_scores
    WHERE model = ? AND epoch = ? AND population = 'holdout' AND query = ? AND k = ? AND labels = ? AND scope = ?
"""
_ROLES = "SELECT role, dataset, listed IS NOT NULL AS is_listed FROM roles"
_APART = "SELECT role, other, auc FROM blind_baseline WHERE is_apart ORDER BY auc DESC, role, other"
_IS_ONE_MODEL = "SELECT is_one_model FROM reference_sides WHERE model = ?"


def verdict_rows(connection: duckdb.DuckDBPyConnection, config: Mapping[str, Any]) -> Iterator[dict]:
    """Yield the rows of the table ``verdicts``; the other tables are there.

    Args:
        connection: of the database.
        config: the configuration, whose ``report`` names k and labels of the cell chosen beforehand.
    """
    for measured in _rows(connection, _MEASURED):
        model, epoch = measured["model"], measured["epoch"]
        grounds = _grounds(connection, config, model, epoch)
        for found in verdicts(grounds):
            yield {"model": model, "epoch": epoch, **_columns(found, grounds)}


def _grounds(connection: duckdb.DuckDBPyConnection, config: Mapping[str, Any], model: str, epoch: int) -> Grounds:
    report = config["report"]
    roles = [row for row in _rows(connection, _ROLES) if row["role"] in POPULATIONS]
    retrieval = _rows(connection, _RETRIEVAL, model, epoch)[0]
    known = None not in (retrieval["recall"], retrieval["chance"])
    grounds = Grounds(
        cells=_rows(connection, _CELLS, model, epoch),
        memories={row["side"]: row["p"] for row in _rows(connection, _MEMORIES, model, epoch)},
        attacks=_rows(connection, _ATTACKS, model, epoch),
        k=report["k"],
        labels=str(report["labels"]),
        one_model=_rows(connection, _IS_ONE_MODEL, model)[0]["is_one_model"],
        datasets={row["role"]: row["dataset"] for row in roles},
        draws=config["measure"]["bootstrap"],
        listed=[row["role"] for row in roles if row["is_listed"]],
        apart=_rows(connection, _APART),
        retrieval=(retrieval["recall"], retrieval["chance"]) if known else None,
    )
    return Grounds(**vars(grounds) | {"skill": _skill(connection, grounds, model, epoch)})


def _skill(connection: duckdb.DuckDBPyConnection, grounds: Grounds, model: str, epoch: int) -> float | None:
    """Return recall on the holdout above that of a random ranking, mean over the sides that are image-text models."""
    primary = grounds.primary
    if primary is None:
        return None
    cell = grounds.k, grounds.labels, primary["scope"]
    by_model, by_chance = (_rows(connection, _RECALL, model, epoch, query, *cell)[0] for query in (CAPTION, RANDOM))
    gains = [
        by_model[side] - by_chance[side]
        for side in ("a" if grounds.one_model else "ab")
        if None not in (by_model[side], by_chance[side])
    ]
    return sum(gains) / len(gains) if gains else None


def _columns(found: Verdict, grounds: Grounds) -> dict:
    cell = found.cell or {}
    primary = grounds.primary or {}
    named = ("query", "k", "labels", "scope", "metric", "attack", "value", "ci_low", "ci_high")
    return {
        "about": found.about,
        "verdict": found.verdict,
        "sides": found.sides,
        **{name: cell.get(name) for name in named},
        "p_value": found.p_value,
        "detectable": found.detectable,
        "effective_groups": primary.get("effective_groups"),
        "recall_at_10": grounds.retrieval and grounds.retrieval[0],
        "chance_at_10": grounds.retrieval and grounds.retrieval[1],
        "skill": grounds.skill,
        "sentence": found.sentence,
    }


def _rows(connection: duckdb.DuckDBPyConnection, query: str, *values: Any) -> list[dict]:
    found = connection.execute(query, list(values))
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
