"""The first screen: a sentence and a colour for every model, how large and how sure, and what a mitigation changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dejavu.memorization.verdicts import CANNOT_SAY, DETECTED, MEMBERSHIP, NOT_DETECTED, OBJECTS, QUERY_NAMES
from dejavu.report.charts.forest import COLUMNS, forest, per_hundred, whole
from dejavu.report.tradeoff import percent, points

METRIC, SCOPE = "ppg", "all"
# Class of the colour, and the sign that says the same without colour.
SIGNS = {DETECTED: ("detected", "▲"), NOT_DETECTED: ("not-detected", "○"), CANNOT_SAY: ("cannot-say", "?")}
_HEADLINES = {
    DETECTED: "{model} remembers training images",
    NOT_DETECTED: "No memory of training images was found in {model}",
    CANNOT_SAY: "This run cannot say whether {model} remembers training images",
}


def first_screen(
    verdicts: Mapping[str, Sequence[Mapping]],
    results: Sequence[Mapping],
    tradeoff: Sequence[Mapping],
    recipes: Sequence[Mapping],
    changes: Sequence[Mapping],
    config: Sequence[Mapping] = (),
) -> dict[str, Any]:
    """Return what the first screen shows.

    Args:
        verdicts: model -> its verdicts, as :func:`dejavu.report.summary.verdicts` returns them.
        results: rows of ``result_table.sql``.
        tradeoff: rows of :func:`dejavu.report.tradeoff.tradeoff`.
        recipes: rows of ``recipe_intervals.sql``.
        changes: rows of :func:`dejavu.report.recipes.recipe_changes`.
        config: the whole configuration, rows of key and value.
    """
    largest = largest_gaps(results)
    cards = [_card(model, found, largest.get(model), recipes) for model, found in verdicts.items()]
    return {
        "cards": cards,
        "largest": list(largest.values()),
        "forest": forest(list(largest.values())),
        "mitigations": mitigations(tradeoff, changes, config, results),
        "per_hundred": per_hundred,
    }


def largest_gaps(results: Sequence[Mapping]) -> dict[str, dict[str, Any]]:
    """Return model -> its row of PPG over all objects whose query has the largest gap, in captions of 100.

    The bands hold for all cells of a model at once, so they also hold for a cell that is chosen for its size. The gap
    of a one-model test is half the difference between two roles, so gap, control and what could be missed are doubled:
    they are then differences of roles.
    """
    largest: dict[str, dict[str, Any]] = {}
    for row in results:
        if row["metric"] != METRIC or row["scope"] != SCOPE or row["value"] is None:
            continue
        if row["model"] not in largest or row["value"] > largest[row["model"]]["raw"]:
            factor = 200 if _is_one_model(row) else 100
            scaled = {key: None if row[key] is None else factor * row[key] for key in (*COLUMNS, "detectable")}
            largest[row["model"]] = {**row, **scaled, "raw": row["value"]}
    return dict(sorted(largest.items()))


def _card(model: str, found: Sequence[Mapping], largest: Mapping | None, recipes: Sequence[Mapping]) -> dict[str, Any]:
    by_kind = {row["about"]: row for row in found}
    objects = by_kind[OBJECTS]
    style, sign = SIGNS[objects["verdict"]]
    sentences = [] if largest is None else _sentences(objects, largest)
    if objects["verdict"] == CANNOT_SAY:
        sentences = [objects["sentence"].removeprefix("Déjà vu: cannot say. ")]
    elif largest is not None:
        sentences += [_over_trainings(row) for row in recipes if _is_same_cell(row, largest)]
        sentences += objects["doubts"]
    return {
        "model": model,
        "verdict": objects["verdict"],
        "style": style,
        "sign": sign,
        "headline": _HEADLINES[objects["verdict"]].format(model=model),
        "sentences": sentences,
        "membership": _membership(by_kind.get(MEMBERSHIP)),
    }


def _is_one_model(row: Mapping) -> bool:
    """Whether a row of the result table is of a one-model test, whose control is between two unseen roles."""
    return bool(row["control_population"] == "unseen")


def _sentences(verdict: Mapping, row: Mapping) -> list[str]:
    """Return how large the gap is, how large its control, and what was too small to be seen."""
    size = whole(row["value"])
    sure = "" if row["band_low"] is None else f" (95 % band {whole(row['band_low'])} to {whole(row['band_high'])})"
    asked = f"Asked {QUERY_NAMES[row['query']]}"
    if _is_one_model(row):
        told = (
            f"{asked}, it beats a reference that read captions only, and it does so for {size} more of 100 training "
            f"pairs than of other pairs{sure}."
        )
        other = "The same difference between two sets that it never saw"
    else:
        told = (
            f"{asked}, the model that trained on a pair finds the objects of its image more precisely for {size} more "
            f"of 100 captions than the other model does{sure}; ties count for neither."
        )
        other = "The same difference where neither saw the pair"
    control = per_hundred(row["control_value"], row["control_band_low"], row["control_band_high"])
    sentences = [told, f"{other} (the control): {control}."]
    if verdict["verdict"] == DETECTED and (row["band_low"] is None or row["band_low"] <= 0):
        sentences.append("This number alone does not show it; the evidence is in another measure, named below.")
    if verdict["verdict"] == NOT_DETECTED and row["detectable"] is not None:
        sentences.append(f"A gap of {whole(row['detectable'])} would have been found in four of five such runs.")
    return sentences


def _is_same_cell(recipe: Mapping, row: Mapping) -> bool:
    return all(recipe[key] == row[key] for key in ("model", "query", "scope", "metric"))


def _over_trainings(row: Mapping) -> str:
    numbers = (100 * row[key] if row[key] is not None else None for key in ("mean", "low", "high"))
    return f"Mean over {row['replicates']} trainings: {per_hundred(*numbers)}."


def _membership(row: Mapping | None) -> dict[str, str] | None:
    """Return the verdict on membership in a few words, with its colour and sign."""
    if row is None:
        return None
    style, sign = SIGNS[row["verdict"]]
    evidence = ""
    if row["verdict"] == DETECTED and row["value"] is not None and row["metric"] == "roc_auc":
        evidence = f" (ROC AUC {row['value']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]; chance is 0.5)"
    said = {
        DETECTED: "An attacker tells training pairs from others better than chance",
        NOT_DETECTED: "No attack tells training pairs from others",
        CANNOT_SAY: "This run cannot say whether an attacker tells training pairs from others",
    }[row["verdict"]]
    return {"style": style, "sign": sign, "verdict": row["verdict"], "text": f"{said}{evidence}."}


def mitigations(
    tradeoff: Sequence[Mapping],
    changes: Sequence[Mapping],
    config: Sequence[Mapping] = (),
    results: Sequence[Mapping] = (),
) -> list[dict[str, Any]]:
    """Return for each model that is compared with another what it changes in memory, and at what price.

    The gap is PPG over all objects of the query that shows most; draw i resamples the same groups for both models. A
    one-model test is compared with one-model tests only, because its gap is about half as large for the same memory.

    A mitigation may move memory from one query to another, so the gaps of every query stand beside that.

    Returns:
        Dicts with model, compared_with, less (the change of the gap: change, low, high in captions of 100), word, gap,
        by_query and price as sentences, recipe: in what the two recipes differ, and further: the change over several
        trainings.
    """
    by_model = {row["model"]: row for row in tradeoff}
    found = []
    for row in tradeoff:
        other = by_model.get(row["compared_with"])
        if other is None or other["reference"] != row["reference"] or not row["drawn_gap"] or not other["drawn_gap"]:
            continue
        drawn = 100 * (np.array(row["drawn_gap"], dtype=float) - np.array(other["drawn_gap"], dtype=float))
        low, high = (float(end) for end in np.nanquantile(drawn, [0.025, 0.975]))
        less = {"change": 100 * (row["gap"] - other["gap"]), "low": low, "high": high}
        found.append(
            {
                "model": row["model"],
                "compared_with": row["compared_with"],
                "less": less,
                "word": _word(low, high, "shows less", "shows more"),
                "gap": _gap_sentence(row, other, less),
                "by_query": _by_query(results, row["model"], row["compared_with"]),
                "price": _price(row),
                "recipe": recipe_difference(config, row["model"], row["compared_with"]),
                "further": _further(row["model"], changes),
            }
        )
    return found


def _word(low: float, high: float, falls: str, rises: str) -> str:
    return falls if high < 0 else rises if low > 0 else ""


def _gap_sentence(row: Mapping, other: Mapping, less: Mapping) -> str:
    model, compared = row["model"], row["compared_with"]
    word = _word(less["low"], less["high"], "shows less memory than", "shows more memory than")
    told = f"{model} {word} {compared}" if word else f"{model} cannot be told from {compared}"
    own, others = (
        f"{whole(100 * one['gap'])} of 100 captions (asked {QUERY_NAMES[one['query']]})" for one in (row, other)
    )
    return (
        f"Taking for each model the kind of query with the largest gap, {told}: {own} instead of {others}, a change of "
        f"{per_hundred(less['change'], less['low'], less['high'])}."
    )


def _by_query(results: Sequence[Mapping], model: str, compared: str) -> str:
    """Return the gaps of two models for every query that both were asked, where there are several."""
    gaps = {
        (row["model"], row["query"]): whole(100 * row["value"])
        for row in results
        if (row["metric"], row["scope"]) == (METRIC, SCOPE) and row["value"] is not None
    }
    both = [
        f"{gaps[model, query]} instead of {gaps[compared, query]} {name}"
        for query, name in QUERY_NAMES.items()
        if {(model, query), (compared, query)} <= gaps.keys()
    ]
    return f"Query by query, the gap is {'; '.join(both)}." if len(both) > 1 else ""


def _price(row: Mapping) -> str:
    if row["change"] is None or row["other_recall"] is None:
        return "The price in utility was not measured."
    values = f"{percent(row['common_recall'])} instead of {percent(row['other_recall'])}"
    if row["change_low"] is None:
        return f"Price: none is seen; retrieval (recall@10) is {values}."
    interval = f"{points(row['change'])} points ({points(row['change_low'])} to {points(row['change_high'])})"
    word = _word(row["change_low"], row["change_high"], "retrieval is worse", "none, retrieval is better")
    shown = word or "retrieval may have changed, but the interval holds 0"
    told = f"Price: {shown}; recall@10 is {values}, {interval}."
    return told.replace("-", "−")


def _further(model: str, changes: Sequence[Mapping]) -> str:
    """Return the change over several trainings, by query; empty where the recipes were trained once."""
    rows = [row for row in changes if (row["model"], row["metric"], row["scope"]) == (model, METRIC, SCOPE)]
    if not rows:
        return ""
    by_query = [
        f"{per_hundred(100 * row['mean'], 100 * row['low'], 100 * row['high'])} asked {QUERY_NAMES[row['query']]}"
        for row in rows
    ]
    return f"Over {rows[0]['replicates']} pairs of trainings of both recipes, the gap changes by {'; '.join(by_query)}."


def recipe_difference(config: Sequence[Mapping], model: str, other: str) -> str:
    """Return in what keys of the configuration a model's recipe differs from another, as words; at most three keys.

    A model that takes its sides from elsewhere has no recipe of its own, so for it nothing is said.
    """
    own, others = (
        {row["key"].removeprefix(f"models.{name}."): row["value"] for row in config if _is_recipe(row["key"], name)}
        for name in (model, other)
    )
    if not own or not others:
        return ""
    differing = [key for key in own if own[key] != others.get(key, own[key])]
    told = [f"{key} {own[key]} instead of {others[key]}" for key in differing[:3]]
    return ", ".join([*told, *(["…"] if len(differing) > len(told) else [])])


def _is_recipe(key: str, model: str) -> bool:
    return key.startswith(f"models.{model}.") and not key.startswith(f"models.{model}.sides.")
