"""A lower bound on the privacy loss of every trained side, from membership scores that other tables hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import numpy as np

from dejavu.database.single_samples import is_by_chance
from dejavu.memorization.audit import audit
from dejavu.tables.fields import SIDES

# the cosine of a pair under the side minus under the other side, which saw neither the side's own role nor the
# holdout; of a group the mean, and only groups that were drawn by chance from one dataset
_SCORES = """
    SELECT is_member, score FROM (
        SELECT own.population = own.side AS is_member, samples.group_id, avg(own.csa - other.csa) AS score
        FROM sample_attacks AS own
        JOIN sample_attacks AS other USING (model, epoch, population, row)
        JOIN samples ON samples.row = own.row AND samples.role = own.population
        WHERE own.model = ? AND own.epoch = ? AND own.side = ? AND other.side <> own.side
            AND own.population IN (own.side, 'holdout')
        GROUP BY ALL
    )
    ORDER BY is_member, group_id
"""
_MODELS = "SELECT DISTINCT model, epoch FROM sample_attacks ORDER BY ALL"


def privacy_rows(connection: duckdb.DuckDBPyConnection, config: Mapping[str, Any]) -> Iterator[dict]:
    """Yield the rows of the table ``privacy``; the other tables are there.

    Args:
        connection: of the database.
        config: the configuration, whose ``measure.seed`` seeds the coins of the canaries.
    """
    if not is_by_chance(connection):
        return
    for model, epoch in connection.execute(_MODELS).fetchall():
        for side in SIDES:
            columns = connection.execute(_SCORES, [model, epoch, side]).fetchnumpy()
            is_member, score = columns["is_member"].astype(bool), columns["score"].astype(np.float64)
            if not is_member.any() or is_member.all():
                continue
            found = audit(score[is_member], score[~is_member], _rng(config["measure"]["seed"], model, epoch, side))
            yield {
                "model": model,
                "epoch": epoch,
                "side": side,
                "epsilon_low": found.epsilon,
                "delta": found.delta,
                "confidence": found.confidence,
                "canaries": found.canaries,
                "guesses": found.guesses,
                "right_guesses": found.right,
            }


def _rng(seed: int, *names: Any) -> np.random.Generator:
    text = "\0".join(["privacy", str(seed), *map(str, names)])
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big"))
