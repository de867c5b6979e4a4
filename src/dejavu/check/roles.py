"""Check of a split's roles: their numbers of samples, and whether listed samples are comparable with the others."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dejavu.check.excerpt import Excerpt, captions_by_kind
from dejavu.check.findings import FAULT, LOOK, OK, Findings
from dejavu.data.members import MemberList, find_members, plain
from dejavu.data.split import position
from dejavu.measurement.blind_baseline import MOST, blind_baseline
from dejavu.tables.roles import roles_of

# number of uids of a long list that are looked up in the dataset
LOOKED_FOR = 1000
# With fewer unlisted samples in the excerpt, the check concludes nothing from their positions.
FEWEST = 30
HALF_A_SAMPLE = 0.5
# If an interval has fewer expected samples in the excerpt, its length is the better estimate of its share.
EXPECTED = 10
# If the excerpt has more groups than this share of its samples, the length of an interval is the role's share.
SINGLE = 0.9


@dataclass(frozen=True)
class _Supply:
    """The samples of a dataset that are left for the drawn roles of a split.

    Attributes:
        unlisted: approximate number of samples that no list names.
        positions: float64, positions of the excerpt's unlisted samples; empty where they are not needed, since nothing
            is listed and few samples have duplicates.
        is_whole: whether the excerpt or the lists hold the whole dataset, so that the numbers are exact.
    """

    unlisted: float
    positions: np.ndarray
    is_whole: bool


def look_at_roles(
    findings: Findings,
    split: str,
    config: Mapping[str, Any],
    excerpts: Mapping[str, Excerpt],
    names: Mapping[str, Path | None],
) -> None:
    """Look up listed samples, compare their captions with those of the others, and estimate the size of every role.

    Args:
        findings: receives the findings.
        split: name of the split.
        config: the checked and complete configuration.
        excerpts: dataset -> its excerpt.
        names: dataset -> folder with the uids of all its rows, from :func:`dejavu.check.excerpt.write_names`, or None.
    """
    section = config["splits"][split]
    listed: dict[str, set[str]] = {name: set() for name in excerpts}
    # If a list is refused, it is unknown what the other roles of its dataset get.
    refused: set[str] = set()
    for role in roles_of(section):
        role_section, about = section["roles"][role], f"splits.{split}.roles.{role}"
        if role_section["uids"] is not None and role_section["dataset"] in excerpts:
            with findings.about(about):
                excerpt = excerpts[role_section["dataset"]]
                options = role_section["uids_column"], role_section["max_missing"], excerpt.dataset.every_caption
                members = MemberList(about, Path(role_section["uids"]), *options)
                refused.add(role_section["dataset"])
                listed[role_section["dataset"]] |= members.read()
                _look_at_list(findings, about, members, role_section["limit"], excerpt, names[role_section["dataset"]])
                refused.discard(role_section["dataset"])
    supplies = {
        name: _supply(excerpts[name], listed[name], section["seed"]) for name in excerpts if name not in refused
    }
    for role in roles_of(section):
        role_section = section["roles"][role]
        if role_section["uids"] is None and role_section["dataset"] in supplies:
            has_lists = bool(listed[role_section["dataset"]])
            _tell_size(findings, split, role, role_section, supplies[role_section["dataset"]], has_lists)


def _look_at_list(
    findings: Findings, about: str, members: MemberList, limit: int | None, excerpt: Excerpt, names: Path | None
) -> None:
    uids = members.read()
    part_taken = "" if limit is None else f", of which {limit:,} are taken"
    sentence = f"{len(uids):,} {'images' if members.of_images else 'samples'} are listed{part_taken}"
    if names is None:
        findings.add(about, LOOK, f"{sentence}; a run will show whether the dataset has them, once its uids are made")
        return
    matched = find_members(members, [names], LOOKED_FOR)
    present = f"{matched.listed - matched.missing:,} of {matched.listed:,} that were looked for are in the dataset"
    findings.add(about, OK, f"{sentence}; {present}")
    if excerpt.columns.caption is not None:
        _look_for_difference(findings, about, excerpt, uids)


def _look_for_difference(findings: Findings, about: str, excerpt: Excerpt, members: set[str]) -> None:
    baseline = blind_baseline(*captions_by_kind(excerpt, members, 2 * MOST))
    if baseline is None:
        findings.add(about, LOOK, "too few captions of members or of others to tell whether their distributions differ")
        return
    sentence = (
        f"captions of members and of others ({baseline.number:,} each) are told apart without any model at ROC AUC "
        f"{baseline.auc:.3f}, where chance is 0.5 ± {2 * baseline.error:.3f}"
    )
    if baseline.is_above_chance:
        sentence += (
            ": they are not of one distribution, and a gap between them need not be memory; draw the other roles from "
            "samples that were held out of the same data at random"
        )
    findings.add(about, LOOK if baseline.is_above_chance else OK, sentence)


def _supply(excerpt: Excerpt, listed: set[str], seed: int) -> _Supply:
    samples = excerpt.records("samples", ["row", "uid"])
    refused = len(excerpt.refused())
    usable = excerpt.raw.pairs * len(samples) / max(1, len(samples) + refused)
    names = {sample["row"]: plain(sample["uid"]) for sample in samples}
    of_row = {sample["row"]: sample["group_id"] for sample in excerpt.groups()} if names else {}
    # A listed sample takes its whole duplicate group with it.
    taken = {of_row[row] for row, uid in names.items() if {uid, re.sub("#[0-9]+$", "", uid)} & listed}
    groups = [group for group in of_row.values() if group not in taken]
    share = len(groups) / max(1, len(of_row))
    if not listed and len(set(of_row.values())) > SINGLE * len(of_row):
        return _Supply(usable, np.zeros(0), is_whole=False)
    positions = np.array([position(seed, group) for group in groups])
    return _Supply(usable * share, positions, len(samples) + refused >= excerpt.raw.pairs or len(listed) >= usable)


def _tell_size(findings: Findings, split: str, role: str, section: Mapping, supply: _Supply, has_lists: bool) -> None:
    about, (low, high), number = f"splits.{split}.roles.{role}", section["interval"], len(supply.positions)
    share, error = high - low, 0.0
    # If the listed members were once drawn by their positions, few unlisted samples are left in their intervals.
    if number * share >= EXPECTED or supply.is_whole:
        observed = float(((supply.positions >= low) & (supply.positions < high)).sum()) / max(1, number)
        deviation = math.sqrt(share * (1 - share) / max(1, number))
        if has_lists and number >= FEWEST and observed < share - 4 * deviation:
            findings.add(
                about,
                LOOK,
                f"of {number:,} samples that are not listed {observed:.0%} lie in its interval, where {share:.0%} are "
                "expected: the listed ones seem to have been drawn by their positions; give the split another seed "
                f"(splits.{split}.seed)",
            )
        share, error = observed, math.sqrt(max(observed, 1 / max(1, number)) / max(1, number))
    available, limit = share * supply.unlisted, section["limit"]
    if available < HALF_A_SAMPLE:
        state = FAULT if supply.is_whole else LOOK
        findings.add(about, state, "no sample will be left for it: widen its interval, or bring more data")
    elif limit is None:
        findings.add(about, OK, f"about {available:,.0f} samples")
    elif available + 2 * error * supply.unlisted < limit:
        sentence = f"about {available:,.0f} samples, fewer than its limit {limit:,}"
        findings.add(about, LOOK, f"{sentence}: widen its interval, or lower the limit")
    else:
        findings.add(about, OK, f"{limit:,} samples, of about {available:,.0f}")
