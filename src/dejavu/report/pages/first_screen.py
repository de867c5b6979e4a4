"""The first screen: a sentence and a colour for every model, how large and how sure, and what a mitigation changes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dejavu.memorization.verdicts import CANNOT_SAY, DETECTED, MEMBERSHIP, NOT_DETECTED, OBJECTS, QUERY_NAMES
from dejavu.report.charts.forest import COLUMNS, forest, is_one_model, per_hundred, whole
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
    roles: Sequence[Mapping] = (),
) -> dict[str, Any]:
    """Return what the first screen shows.

    Args:
        verdicts: model -> its verdicts, as :func:`dejavu.report.summary.verdicts` returns them.
        results: rows of ``result_table.sql``.
        tradeoff: rows of :func:`dejavu.report.tradeoff.tradeoff`.
        recipes: rows of ``recipe_intervals.sql``.
        changes: rows of :func:`dejavu.report.recipes.recipe_changes`.
        config: the whole configuration, rows of key and value.
        roles: rows of ``roles.sql``.
    """
    largest = largest_gaps(results)
    members = {model: row for model, found in verdicts.items() for row in found if row["about"] == MEMBERSHIP}
    cards = [_card(model, found, largest.get(model), recipes) for model, found in verdicts.items()]
    return {
        "cards": cards,
        "largest": list(largest.values()),
        "forest": forest(list(largest.values())),
        "mitigations": mitigations(tradeoff, changes, config, results, members),
        "data_sentences": _data_sentences(roles, config),
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
            factor = 200 if is_one_model(row) else 100
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


def _sentences(verdict: Mapping, row: Mapping) -> list[str]:
    """Return how large the gap is, how large its control, and what was too small to be seen."""
    size = whole(row["value"])
    sure = "" if row["band_low"] is None else f" (95 % band {whole(row['band_low'])} to {whole(row['band_high'])})"
    asked = f"Asked {QUERY_NAMES[row['query']]}"
    if is_one_model(row):
        told = (
            f"{asked}, its net advantage over a reference that read captions only (captions won minus captions lost, "
            f"of 100) is {size} higher on training pairs than on other pairs{sure}."
        )
        other, after = "The same difference between two sets that it never saw", ""
    else:
        told = (
            f"{asked}, the model that trained on a pair finds the objects of its image more precisely than the other "
            f"model does for a net {size} of 100 captions, those won minus those lost{sure}."
        )
        other = "Where neither saw the pair, model a minus model b"
        after = " This cancels out of the gap, which counts both models alike; do not subtract it."
    control = per_hundred(row["control_value"], row["control_band_low"], row["control_band_high"])
    sentences = [told, f"{other} (the control): {control}.{after}"]
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
        DETECTED: "who has image and caption can tell training pairs from others better than chance",
        NOT_DETECTED: "no attack tells training pairs from others",
        CANNOT_SAY: "this run cannot say whether an attacker tells training pairs from others",
    }[row["verdict"]]
    said = f"A second test, of membership: {said}"
    return {"style": style, "sign": sign, "verdict": row["verdict"], "text": f"{said}{evidence}."}


def mitigations(
    tradeoff: Sequence[Mapping],
    changes: Sequence[Mapping],
    config: Sequence[Mapping] = (),
    results: Sequence[Mapping] = (),
    members: Mapping[str, Mapping] | None = None,
) -> list[dict[str, Any]]:
    """Return for each model that is compared with another what it changes in memory, and at what price.

    The gap is PPG over all objects of the query that shows most; draw i resamples the same groups for both models. A
    one-model test is compared with one-model tests only, because its gap is about half as large for the same memory.

    A mitigation may move memory from one query to another, so the gaps of every query stand beside that.

    Returns:
        Dicts with model, compared_with, less (the change of the gap: change, low, high in captions of 100), word, gap,
        by_query, membership and price as sentences, recipe: in what the two recipes differ, and further: the change
        over several trainings, or that there was one.
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
                "membership": _members(row["model"], row["compared_with"], members or {}),
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
        (row["model"], row["query"]): row["value"]
        for row in results
        if (row["metric"], row["scope"]) == (METRIC, SCOPE) and row["value"] is not None
    }
    both = [query for query in QUERY_NAMES if {(model, query), (compared, query)} <= gaps.keys()]
    if len(both) < 2:
        return ""
    told: dict[str, list[str]] = {"smaller": [], "larger": []}
    for query in both:
        way = "larger" if gaps[model, query] > gaps[compared, query] else "smaller"
        own, other = (whole(100 * gaps[one, query]) for one in (model, compared))
        told[way].append(f"{own} instead of {other} {QUERY_NAMES[query]}")
    parts = [f"{way} in {len(found)}: {', '.join(found)}" for way, found in told.items() if found]
    return f"Of {len(both)} kinds of query, the gap is {'; '.join(parts)}. These numbers have bands in the table below."


def _members(model: str, compared: str, members: Mapping[str, Mapping]) -> str:
    """Return the ROC AUC of the attacks that the two verdicts on membership rest on; empty where one has none."""
    own, other = members.get(model), members.get(compared)
    if any(row is None or row["value"] is None or row["metric"] != "roc_auc" for row in (own, other)):
        return ""
    assert own is not None and other is not None
    return f"Membership: ROC AUC {own['value']:.3f} instead of {other['value']:.3f}; chance is 0.5."


def _data_sentences(roles: Sequence[Mapping], config: Sequence[Mapping]) -> list[str]:
    """Return how many samples the roles have, and whether the workflow has drawn the images itself."""
    known = {row["role"]: f"{row['samples']:,}" for row in roles}
    if not {"a", "b", "holdout", "public"} <= known.keys():
        return []
    told = [
        f"Role a has {known['a']} pairs, role b {known['b']}, the holdout {known['holdout']}; {known['public']} public "
        "images are searched."
    ]
    drawn = {row["key"].split(".")[1] for row in config if re.match(r"datasets\.[^.]+\.synthetic\b", row["key"])}
    if drawn & {row["dataset"] for row in roles}:
        told.append(
            "The images are drawn by the workflow: how large a gap is says nothing about models of photographs."
        )
    return told


def _price(row: Mapping) -> str:
    if row["change"] is None or row["other_recall"] is None:
        return "The price in utility was not measured."
    values = f"{percent(row['common_recall'])} instead of {percent(row['other_recall'])}"
    if row["change_low"] is None:
        return f"Price: none is seen; retrieval (recall@10) is {values}."
    interval = f"{points(row['change'])} points ({points(row['change_low'])} to {points(row['change_high'])})"
    word = _word(row["change_low"], row["change_high"], "retrieval is worse", "none, retrieval is better")
    shown = word or f"not settled, up to {points(-row['change_low']).removeprefix('+')} points of retrieval"
    told = f"Price: {shown}; recall@10 is {values}, {interval}."
    return told.replace("-", "−")


def _further(model: str, changes: Sequence[Mapping]) -> str:
    """Return the change over several trainings, by query; empty where the recipes were trained once."""
    rows = [row for row in changes if (row["model"], row["metric"], row["scope"]) == (model, METRIC, SCOPE)]
    if not rows:
        return "Each was trained once, so this compares the trained models and not their recipes."
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
