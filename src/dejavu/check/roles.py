"""How many samples the roles of a split will get, and whether what lists declare can be compared with the others."""

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
from dejavu.measurement.blind import MOST, told_apart
from dejavu.tables.fields import ROLES

# of a list of members, so many are looked for
LOOKED_FOR = 1000
# of so few samples that are not listed nothing is concluded from where they lie
FEWEST = 30
HALF_A_SAMPLE = 0.5
# samples of the excerpt that an interval should have, for their positions to say more than its length
EXPECTED = 10
# where so large a share of the excerpt is of groups of one, shares are those of the intervals
SINGLE = 0.9


@dataclass(frozen=True)
class _Supply:
    """What a dataset has for the roles of a split that are not lists.

    Attributes:
        unlisted: number of samples that no list names, about.
        positions: where those of the excerpt lie; of none where shares are known, since all are unlisted and single.
        is_whole: whether the excerpt is the dataset, or the lists are, so that this is no estimate.
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
    """Looks lists up, compares what they name with the rest, and puts down how many samples every role will have.

    Args:
        findings: what is found goes there.
        split: its name.
        config: checked and complete.
        excerpts: dataset -> rows of it.
        names: dataset -> the uids of all its rows, see :func:`dejavu.check.excerpt.write_names`.
    """
    section = config["splits"][split]
    listed: dict[str, set[str]] = {name: set() for name in excerpts}
    refused: set[str] = set()  # with a list that is refused nothing is known of the others
    for role in ROLES:
        role_section, about = section["roles"][role], f"splits.{split}.roles.{role}"
        if role_section["uids"] is not None and role_section["dataset"] in excerpts:
            with findings.about(about):
                excerpt = excerpts[role_section["dataset"]]
                how = role_section["uids_column"], role_section["max_missing"], excerpt.dataset.every_caption
                members = MemberList(about, Path(role_section["uids"]), *how)
                refused.add(role_section["dataset"])
                listed[role_section["dataset"]] |= members.read()
                _look_at_list(findings, about, members, role_section["limit"], excerpt, names[role_section["dataset"]])
                refused.discard(role_section["dataset"])
    supplies = {
        name: _supply(excerpts[name], listed[name], section["seed"]) for name in excerpts if name not in refused
    }
    for role in ROLES:
        role_section = section["roles"][role]
        if role_section["uids"] is None and role_section["dataset"] in supplies:
            drawn_anew = bool(listed[role_section["dataset"]])
            _tell_size(findings, split, role, role_section, supplies[role_section["dataset"]], drawn_anew)


def _look_at_list(
    findings: Findings, about: str, members: MemberList, limit: int | None, excerpt: Excerpt, names: Path | None
) -> None:
    uids = members.read()
    of_them = "" if limit is None else f", of which {limit:,} are taken"
    sentence = f"{len(uids):,} {'images' if members.of_images else 'samples'} are listed{of_them}"
    if names is None:
        findings.add(about, LOOK, f"{sentence}; whether the dataset has them is seen when its uids are made")
        return
    matched = find_members(members, [names], LOOKED_FOR)
    there = f"{matched.listed - matched.missing:,} of {matched.listed:,} that were looked for are in the dataset"
    findings.add(about, OK, f"{sentence}; {there}")
    if excerpt.columns.caption is not None:
        _look_for_difference(findings, about, excerpt, uids)


def _look_for_difference(findings: Findings, about: str, excerpt: Excerpt, members: set[str]) -> None:
    apart = told_apart(*captions_by_kind(excerpt, members, 2 * MOST))
    if apart is None:
        findings.add(about, LOOK, "too few captions of members or of others to see whether they are of one kind")
        return
    sentence = (
        f"captions of members and of others ({apart.number:,} each) are told apart without any model at ROC AUC "
        f"{apart.auc:.3f}, where chance is 0.5 ± {2 * apart.error:.3f}"
    )
    if apart.clear:
        sentence += (
            ": they are not of one distribution, and a gap between them need not be memory; draw the other roles from "
            "what was held out of the same data at random"
        )
    findings.add(about, LOOK if apart.clear else OK, sentence)


def _supply(excerpt: Excerpt, listed: set[str], seed: int) -> _Supply:
    samples = excerpt.records("samples", ["row", "uid"])
    refused = len(excerpt.refused())
    usable = excerpt.raw.pairs * len(samples) / max(1, len(samples) + refused)
    names = {sample["row"]: plain(sample["uid"]) for sample in samples}
    of_row = {sample["row"]: sample["group_id"] for sample in excerpt.groups()} if names else {}
    # what is listed takes its whole group
    taken = {of_row[row] for row, uid in names.items() if {uid, re.sub("#[0-9]+$", "", uid)} & listed}
    groups = [group for group in of_row.values() if group not in taken]
    share = len(groups) / max(1, len(of_row))
    if not listed and len(set(of_row.values())) > SINGLE * len(of_row):
        return _Supply(usable, np.zeros(0), is_whole=False)
    positions = np.array([position(seed, group) for group in groups])
    return _Supply(usable * share, positions, len(samples) + refused >= excerpt.raw.pairs or len(listed) >= usable)


def _tell_size(findings: Findings, split: str, role: str, section: Mapping, supply: _Supply, drawn_anew: bool) -> None:
    about, (low, high), number = f"splits.{split}.roles.{role}", section["interval"], len(supply.positions)
    share, error = high - low, 0.0
    # members that were themselves drawn by their positions leave holes among those of the others
    if number * share >= EXPECTED or supply.is_whole:
        here = float(((supply.positions >= low) & (supply.positions < high)).sum()) / max(1, number)
        expected = math.sqrt(share * (1 - share) / max(1, number))
        if drawn_anew and number >= FEWEST and here < share - 4 * expected:
            findings.add(
                about,
                LOOK,
                f"of {number:,} samples that are not listed {here:.0%} lie in its interval, where {share:.0%} are "
                "expected: the listed ones seem to have been drawn by their positions; give the split another seed "
                f"(splits.{split}.seed)",
            )
        share, error = here, math.sqrt(max(here, 1 / max(1, number)) / max(1, number))
    there, limit = share * supply.unlisted, section["limit"]
    if there < HALF_A_SAMPLE:
        state = FAULT if supply.is_whole else LOOK
        findings.add(about, state, "no sample will be left for it: widen its interval, or bring more data")
    elif limit is None:
        findings.add(about, OK, f"about {there:,.0f} samples")
    elif there + 2 * error * supply.unlisted < limit:
        sentence = f"about {there:,.0f} samples, fewer than its limit {limit:,}: widen its interval, or lower the limit"
        findings.add(about, LOOK, sentence)
    else:
        findings.add(about, OK, f"{limit:,} samples, of about {there:,.0f}")
