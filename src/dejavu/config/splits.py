"""Sections of ``splits``: the dataset and the interval or list of every role, and whether they can supply its limit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from dejavu.data.forms.registry import form_of
from dejavu.errors import InputError, closest
from dejavu.tables.roles import SHARED, roles_of


def check_split(name: str, split: dict, config: dict) -> None:
    """Refuse a split whose roles have no samples, share some, or are too small; fill in their datasets, in place."""
    datasets, roles = config["datasets"], split["roles"]
    if name == "studies":
        raise InputError("splits.studies: the folder of that name is for studies: give the split another name.")
    _require_dataset(f"splits.{name}.dataset", split["dataset"], datasets)
    for role in roles_of(split):
        where, section = f"splits.{name}.roles.{role}", roles[role]
        if section["dataset"] is None:
            section["dataset"] = split["dataset"]
        _require_dataset(f"{where}.dataset", section["dataset"], datasets)
        if role != "public" and datasets[section["dataset"]]["columns"]["caption"] is None:
            raise InputError(
                f"{where}: the dataset {section['dataset']!r} has no captions (its columns.caption is empty), so it "
                "can only be searched, as role public: name another dataset."
            )
        if role != SHARED and datasets[section["dataset"]]["annotate"]["from"] == "none":
            raise InputError(
                f"{where}: the dataset {section['dataset']!r} has no objects (its annotate.from is none), so it can "
                f"only be used as role {SHARED}: name another dataset, or say in annotate where its objects come from."
            )
        if section["interval"] is None and section["uids"] is None:
            raise InputError(
                f"configuration key '{where}.interval' is missing: add it, or uids, a list of the role's samples."
            )
        if section["interval"] is not None and section["uids"] is not None:
            raise InputError(f"{where} has both interval and uids: remove one of them.")
        for key, default in (("uids_column", "uid"), ("max_missing", 0.01)):
            if section["uids"] is None and section[key] != default:
                raise InputError(f"{where}.{key} is about a list, but the role has no uids: remove it.")
        if section["uids"] is not None and not Path(section["uids"]).is_file():
            raise InputError(f"{where}.uids: the file {section['uids']} does not exist: correct the path.")
    _check_intervals(name, roles, roles_of(split))
    for role in roles_of(split):
        _check_synthetic_supply(name, role, roles[role], datasets, max(config["measure"]["k"]))
    _check_query_limit(config["measure"])
    limit, k = roles["public"]["limit"], max(config["measure"]["k"])
    if limit is not None and k > limit:
        raise InputError(
            f"measure.k asks for {k:,} nearest images, but splits.{name}.roles.public.limit is {limit:,}: "
            "lower k, or raise the limit."
        )


def _check_query_limit(measure: Mapping) -> None:
    limit, k = measure["query_limit"], max(measure["k"])
    if limit is not None and limit < k:
        raise InputError(
            f"measure.query_limit is {limit:,}, fewer samples than the {k:,} nearest images of measure.k: raise the "
            "limit, or set it to null for all samples."
        )


def _require_dataset(where: str, dataset: str, datasets: Mapping) -> None:
    if dataset not in datasets:
        raise InputError(
            f"{where} names {dataset!r}, which is no dataset{closest(dataset, datasets)}: "
            f"the datasets are {', '.join(datasets)}."
        )


def _check_intervals(name: str, roles: dict, names: Sequence[str]) -> None:
    drawn = [role for role in names if roles[role]["interval"] is not None]
    for role in drawn:
        low, high = roles[role]["interval"]
        if low >= high:
            raise InputError(
                f"splits.{name}.roles.{role}.interval is [{low}, {high}], which is empty: "
                "the first number must be smaller."
            )
    ordered = sorted(drawn, key=lambda role: (roles[role]["dataset"], roles[role]["interval"]))
    for one, other in zip(ordered, ordered[1:], strict=False):
        same = roles[one]["dataset"] == roles[other]["dataset"]
        if same and roles[one]["interval"][1] > roles[other]["interval"][0]:
            raise InputError(
                f"splits.{name}.roles: the intervals of {one} {roles[one]['interval']} and {other} "
                f"{roles[other]['interval']} overlap: a sample may have one role only, so move one of them."
            )


def _check_synthetic_supply(name: str, role: str, section: dict, datasets: Mapping, k: int) -> None:
    """Refuse a limit above what a synthetic dataset can supply, by more than six standard deviations of the hash."""
    dataset = datasets[section["dataset"]]
    known = form_of(section["dataset"], dataset).supply
    if known is None or section["interval"] is None:
        return
    images, captions = known
    # all captions of an image have one role
    each = captions if dataset["captions"] == "all" else 1
    limit = section["limit"]
    low, high = section["interval"]
    share = high - low
    most = each * (images * share + 6 * math.sqrt(images * share * (1 - share)))
    pairs = each * images
    supply = f"its interval [{low}, {high}) holds about {pairs * share:,.0f} of the dataset's {pairs:,} pairs"
    if limit is not None and limit > most:
        raise InputError(
            f"splits.{name}.roles.{role}.limit is {limit:,}, but {supply}: "
            "lower the limit, widen the interval, or raise pairs."
        )
    if role == "public" and limit is None and k > most:
        raise InputError(
            f"measure.k asks for {k:,} nearest images, but splits.{name}.roles.public has fewer: {supply}; "
            "lower k, widen the interval, or raise pairs."
        )
