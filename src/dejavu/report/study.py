"""The results of a study: gap, control and utility along one axis, read from the databases of its points."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dejavu.memorization.metrics import TRADED
from dejavu.report.changes import RECALL, Drawn, drawn_of, joint, with_changes, with_utility_changes
from dejavu.report.direction import Cell, Direction, directions, studies_of_seeds
from dejavu.report.queries import Queries
from dejavu.report.tradeoff import front_shares
from dejavu.tables.queries import CAPTION


@dataclass(frozen=True)
class Study:
    """The results of a study.

    Attributes:
        name, axis: name and axis of the study in the configuration.
        model, split: the model and the split that the study varies.
        values: the value of the axis at each point, as JSON.
        gaps: rows of ``study.sql`` with their change since the first point, by place, scope and metric.
        utility: rows of ``study_utility.sql`` with their intervals and their change since the first point, by place.
        fronts: place -> share of the draws in which the point is on the Pareto front of PPG against recall@10.
        directions: (place, query, metric) -> change of the recipe since the first point, where both points have
            replicates or seeds.
        noise: (query, scope, metric) -> row of ``seed_spread.sql``, where a study of seeds was run for the same model.
        draws: number of permutations behind each p-value.
    """

    name: str
    axis: str
    model: str
    split: str
    values: Sequence[str]
    gaps: Sequence[dict]
    utility: Sequence[dict]
    fronts: Mapping[int, float]
    directions: Mapping[Cell, Direction]
    noise: Mapping[tuple[str, str, str], dict]
    draws: int

    def of(self, metric: str, query: str = CAPTION) -> list[dict]:
        """Return the gaps of one metric and query in scope ``all``, by place."""
        return [row for row in self.gaps if (row["query"], row["scope"], row["metric"]) == (query, "all", metric)]

    def strongest(self) -> list[dict]:
        """Return, for each place, the largest PPG in scope ``all`` over the queries."""
        rows = [row for row in self.gaps if (row["scope"], row["metric"]) == ("all", TRADED) and row["gap"] is not None]
        places = dict.fromkeys(row["place"] for row in rows)
        return [max((r for r in rows if r["place"] == place), key=lambda row: row["gap"]) for place in places]

    def useful(self, place: int) -> dict | None:
        """Return the row of holdout retrieval recall@10 at a point, a mean over sides and directions; None without."""
        return next((r for r in self.utility if r["place"] == place and r["metric"] == RECALL), None)


def gather(name: str, studies: Mapping, databases: Mapping[str, Queries]) -> Study:
    """Read a study from the databases of the splits that its points were measured in.

    Args:
        name: name of the study.
        studies: all studies of the configuration, expanded.
        databases: split -> queries on its database, for all splits of the study's points and the study's own split.
    """
    study = studies[name]
    results: dict[str, list[dict]] = {}
    for query in ("study", "study_draws", "study_replicates", "study_utility", "study_utility_draws"):
        rows = [{**row, "split": split} for split, base in databases.items() for row in base.rows(query)]
        results[query] = sorted(rows, key=lambda row: row["place"])
    drawn = drawn_of(results, databases)
    gaps = [row for row in results["study"] if row["study"] == name]
    utility = [row for row in results["study_utility"] if row["study"] == name]
    seed_studies = studies_of_seeds(studies, study["model"], study["split"])
    spread = [row for row in databases[study["split"]].rows("seed_spread") if row["study"] in seed_studies]
    return Study(
        name=name,
        axis=study["axis"],
        model=study["model"],
        split=study["split"],
        values=[json.dumps(value) for value in study["values"]],
        gaps=list(with_changes(gaps, drawn, databases)),
        utility=list(with_utility_changes(utility, drawn)),
        # A front shows choices between recipes; the points of a study of seeds all have the same recipe.
        fronts={} if study["axis"] == "seed" else _fronts(name, gaps, drawn),
        directions=dict(directions(name, studies, results, drawn)),
        noise={(row["query"], row["scope"], row["metric"]): row for row in spread},
        draws=databases[study["split"]].config("measure.bootstrap"),
    )


def _fronts(name: str, gaps: Sequence[dict], drawn: Drawn) -> dict[int, float]:
    places = list(dict.fromkeys(row["place"] for row in gaps))
    pairs = {place: (drawn.of(name, place, None, RECALL), drawn.strongest(name, place)) for place in places}
    useful = {place: recall for place, (recall, _) in pairs.items() if recall is not None}
    memory = {place: gap for place, (_, gap) in pairs.items() if gap is not None}
    shown = [place for place in places if place in useful and place in memory]
    if not shown:
        return {}
    shares = front_shares(joint(useful, shown), joint(memory, shown))
    return dict(zip(shown, shares, strict=True))
