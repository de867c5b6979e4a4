"""Sentences on the results of a study."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from dejavu.memorization.metrics import METRIC_NAMES, TRADED
from dejavu.memorization.verdicts import PRIMARY_METRIC, QUERY_NAMES
from dejavu.report.changes import RECALL
from dejavu.report.direction import Direction
from dejavu.report.study import Study
from dejavu.report.summary import band, number
from dejavu.report.tradeoff import percent, points
from dejavu.tables.queries import CAPTION

# Metrics in the sentences. For the query ``caption`` (True) these are all metrics, for other queries (False) the metric
# of the trade-off and the metric of the primary cell.
SAID = {True: tuple(METRIC_NAMES), False: (TRADED, PRIMARY_METRIC)}


def sentences(study: Study) -> list[str]:
    """Return sentences on the change between the first and the last training, and on the change of the recipe."""
    if study.axis == "seed":
        return [
            _spread_sentence(METRIC_NAMES[metric], row)
            for (query, scope, metric), row in study.noise.items()
            if (query, scope) == (CAPTION, "all")
        ]
    texts = [*_sentences_on_gaps(study), *_sentences_on_recall(study), *_sentences_on_recipes(study)]
    noise = study.noise.get((CAPTION, "all", TRADED))
    if noise is not None and noise["spread"] is not None:
        texts.append(_spread_sentence(METRIC_NAMES[TRADED], noise))
    return texts


def _sentences_on_gaps(study: Study) -> Iterator[str]:
    for query in dict.fromkeys(row["query"] for row in study.gaps):
        for metric in SAID[query == CAPTION]:
            rows = study.of(metric, query)
            if len(rows) < 2 or rows[-1]["change"] is None:
                continue
            start, end = rows[0], rows[-1]
            how = f" ({end['pairing']})" if end["pairing"] else ""
            yield (
                f"{_named(query, metric)} is {number(start['gap'])} at {study.axis} {start['value']} and "
                f"{number(end['gap'])} at {end['value']}: between these trainings a difference of "
                f"{number(end['change'])} {band(end['change_low'], end['change_high'])}{how}; the control goes from "
                f"{number(start['control_value'])} to {number(end['control_value'])}."
            )


def _named(query: str | None, metric: str) -> str:
    if query is None:
        return f"holdout retrieval {metric}"
    return METRIC_NAMES[metric] if query == CAPTION else f"{METRIC_NAMES[metric]} {QUERY_NAMES[query]}"


def _sentences_on_recall(study: Study) -> Iterator[str]:
    start, end = study.useful(0), study.useful(len(study.values) - 1)
    if start is not None and end is not None and end["change"] is not None:
        yield (
            f"Holdout retrieval recall@10 is {percent(start['utility'])} and {percent(end['utility'])}: between these "
            f"trainings a difference of {points(end['change'])} points [{points(end['change_low'])}, "
            f"{points(end['change_high'])}]."
        )


def _sentences_on_recipes(study: Study) -> Iterator[str]:
    """Yield sentences on the recipe rather than on single trainings, wherever several were run at both ends."""
    for (place, query, metric), change in study.directions.items():
        if query is not None and metric not in SAID[query == CAPTION]:
            continue
        shown: Callable[[float | None], str] = points if metric == RECALL else number
        unit = " points" if metric == RECALL else ""
        yield (
            f"Over {trainings(change)} at both ends, {_named(query, metric)} {change.word} from {study.axis} "
            f"{study.values[0]} to {study.values[place]}: a change of {shown(change.change)}{unit} "
            f"[{shown(change.low)}, {shown(change.high)}], an interval that covers the noise of training and of the "
            "queries."
        )
    last = len(study.values) - 1
    if not any(place == last for place, _, _ in study.directions):
        yield (
            f"Whether the recipe makes the difference from {study.values[0]} to {study.values[last]} is not known: "
            "neither replicates nor further seeds were trained at both ends, and the intervals do not cover the noise "
            "of training."
        )


def trainings(change: Direction) -> str:
    """Return in words what a change of a recipe rests on."""
    first, second = change.trainings
    if change.of_replicates:
        return f"the same {first} replicates"
    return f"the same {first} seeds of training" if change.paired else f"{first} and {second} other seeds of training"


def _spread_sentence(name: str, row: Mapping) -> str:
    return (
        f"Over {row['seeds']} seeds of training {name} is {number(row['mean'])} with a standard deviation of "
        f"{row['spread']:.3f}, its control {number(row['control_mean'])} with {row['control_spread']:.3f}; an "
        "interval of single trainings does not cover that noise."
    )
