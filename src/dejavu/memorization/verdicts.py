"""Verdicts on a model: *detected*, *not detected* or *cannot say*, about objects (déjà vu) and about membership.

The report, the terminal, the studies and the database all take verdicts and their words from this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dejavu.memorization.metrics import METRIC_NAMES

DETECTED, NOT_DETECTED, CANNOT_SAY = ("detected", "not detected", "cannot say")
OBJECTS, MEMBERSHIP = ("objects", "membership")
# Significance level: the share of runs without memorization whose verdict is nevertheless *detected*.
LEVEL = 0.05
# Effective groups that the smaller training role needs. With fewer, few permutations differ, and intervals are too
# short: see docs/concepts/calibration.md.
FEWEST_GROUPS = 30
# Multiple of chance that recall@10 on the holdout must reach: a model that retrieves no better cannot show a memory.
TIMES_CHANCE = 2.0
# The primary cell was chosen in advance. AUCG keeps the size of a difference, where PPG and PRG keep only its sign. The
# scope ``unnamed`` comes first, because a caption cannot reveal objects that it does not name.
PRIMARY_QUERY, PRIMARY_METRIC, PRIMARY_SCOPES = "caption", "aucg", ("unnamed", "all")

SCOPE_NAMES = {"all": "all objects", "unnamed": "objects the caption does not name"}
QUERY_NAMES = {
    "caption": "with the caption",
    "masked": "with masked captions",
    "remainder": "with what is left of the caption without the names of objects",
    "rare": "with the rare words of the caption",
}
ATTACK_NAMES = {
    "csa": "the cosine of a pair (CSA)",
    "reference_csa": "the cosine of a pair minus that under the other model",
}


@dataclass(frozen=True)
class Grounds:
    """The measurements from which the verdicts on one model are drawn.

    Attributes:
        cells: rows of ``population_gaps`` of the population ``symmetric``, of every query, k, label count and scope.
        memories: side -> smallest joint p-value of the populations ``memory_a`` and ``memory_b``, what the side
            remembers; None where the compared roles are not exchangeable, and absent for a text encoder.
        attacks: rows of ``attacks`` of the metric ``roc_auc``, each with its ``side``.
        k, labels: k and number of labels of the primary cell, which was chosen in advance.
        one_model: whether side b is a text encoder.
        datasets: role -> its dataset, for the roles a, b and holdout.
        listed: the roles among a, b and holdout that a list gives.
        apart: pairs of these roles that captions alone tell apart, as rows ``role, other, auc``, the largest AUC first.
        retrieval: recall@10 on the holdout, and the recall@10 of chance; None where retrieval was not measured.
        draws: number of permutations, which bounds p-values from below.
        skill: recall on the holdout minus the recall of a random ranking, in the primary cell; None where unknown.
    """

    cells: Sequence[Mapping]
    memories: Mapping[str, float | None]
    attacks: Sequence[Mapping]
    k: int
    labels: str
    one_model: bool
    datasets: Mapping[str, str]
    draws: int
    listed: Sequence[str] = ()
    apart: Sequence[Mapping] = ()
    retrieval: tuple[float, float] | None = None
    skill: float | None = None

    @property
    def tested(self) -> list[Mapping]:
        """Return the cells of the joint test."""
        return [cell for cell in self.cells if cell["p_joint"] is not None]

    @property
    def primary(self) -> Mapping | None:
        """Return the cell chosen in advance, in scope ``all`` where no caption leaves objects unnamed; None without."""
        chosen = (PRIMARY_QUERY, self.k, self.labels, PRIMARY_METRIC)
        by_scope = {
            cell["scope"]: cell
            for cell in self.cells
            if (cell["query"], cell["k"], cell["labels"], cell["metric"]) == chosen and cell["value"] is not None
        }
        return next((by_scope[scope] for scope in PRIMARY_SCOPES if scope in by_scope), None)

    @property
    def strongest(self) -> Mapping | None:
        """Return the cell with the smallest joint p-value; among equal p-values, the largest gap in standard errors."""
        return min(
            self.tested, key=lambda c: (c["p_joint"], (c["expected"] - c["value"]) / c["detectable"]), default=None
        )


@dataclass(frozen=True)
class Verdict:
    """One verdict.

    Attributes:
        about: ``objects`` or ``membership``.
        verdict: ``detected``, ``not detected`` or ``cannot say``.
        sides: the sides that remember: ``a``, ``b`` or ``both``; None where the sides are unknown, or nothing is
            detected.
        cell: the cell, or the row of ``attacks``, that the verdict is drawn from; None where there is none.
        p_value: p-value adjusted for the number of cells or attacks.
        detectable: detectable gap of the primary cell: a test detects a true gap of this size in 80 % of runs.
        sentence: the verdict in words, with its evidence.
    """

    about: str
    verdict: str
    sides: str | None
    cell: Mapping | None
    p_value: float | None
    detectable: float | None
    sentence: str


def verdicts(grounds: Grounds) -> list[Verdict]:
    """Return the verdicts on objects (déjà vu) and on membership of one model."""
    return [_on_objects(grounds), _on_membership(grounds)]


def _on_objects(grounds: Grounds) -> Verdict:
    cell, primary = grounds.strongest, grounds.primary
    p = None if cell is None else cell["p_joint"]
    detectable = None if primary is None else primary["detectable"]
    if reason := _no_test(grounds) or _too_few(primary) or _nothing_varies(cell):
        return Verdict(OBJECTS, CANNOT_SAY, None, cell, p, detectable, f"Déjà vu: cannot say. {reason}")
    assert cell is not None and p is not None
    if p <= LEVEL:
        sides = "a" if grounds.one_model else _sides(grounds.memories)
        sentence = (
            f"Déjà vu detected{_who(sides, grounds.one_model)}: asked {QUERY_NAMES[cell['query']]}, "
            f"{_cell_text(cell)} is {_gap(cell)} ({_p(p, grounds.draws)} over {_family(grounds)} at once)."
        )
        if primary is not None and primary is not cell:
            sentence += (
                f" In the cell chosen beforehand, {QUERY_NAMES[primary['query']]}, {_cell_text(primary)} is "
                f"{_gap(primary)}."
            )
        return Verdict(OBJECTS, DETECTED, sides, cell, p, detectable, sentence + _lists(grounds))
    if reason := _blind(grounds, detectable):
        return Verdict(OBJECTS, CANNOT_SAY, None, cell, p, detectable, f"Déjà vu: cannot say. {reason}")
    sentence = f"Déjà vu not detected in this test ({_p(p, grounds.draws)} over {_family(grounds)} at once)"
    if primary is not None and detectable is not None:
        sentence += (
            f"; {_cell_text(primary)} is {_gap(primary)}, and a gap of {detectable:.3f} there would have been found in "
            "4 of 5 such runs"
        )
    return Verdict(OBJECTS, NOT_DETECTED, None, cell, p, detectable, f"{sentence}.{_lists(grounds)}")


def _no_test(grounds: Grounds) -> str:
    of_a, of_b = grounds.datasets["a"], grounds.datasets["b"]
    if of_a != of_b:
        return f"Roles a and b come from different datasets, {of_a} and {of_b}, so they differ in more than training."
    if not grounds.apart:
        return ""
    pair = grounds.apart[0]
    return (
        f"Captions alone, without any model, tell role {pair['role']} from role {pair['other']} at ROC AUC "
        f"{pair['auc']:.2f}, so the two are of different distributions, and a gap between them need not be memory: "
        "list members and others that chance has drawn from the same data."
    )


def _too_few(cell: Mapping | None) -> str:
    if cell is None:
        return "No query of the roles has objects."
    if cell["effective_groups"] >= FEWEST_GROUPS:
        return ""
    return (
        f"The smaller training role has {cell['effective_groups']:.0f} effective duplicate groups with objects; "
        f"{FEWEST_GROUPS} are needed."
    )


def _nothing_varies(cell: Mapping | None) -> str:
    return "" if cell is not None else "The scores do not vary: both sides predict the same for every query."


def _blind(grounds: Grounds, detectable: float | None) -> str:
    """Return the reason why the test could not have shown a memory; empty where it could."""
    if grounds.retrieval is None or grounds.skill is None or detectable is None:
        return ""
    recall, chance = grounds.retrieval
    if recall >= TIMES_CHANCE * chance or grounds.skill >= detectable:
        return ""
    return (
        f"The test is blind here: holdout retrieval finds {recall:.1%} where chance finds {chance:.1%}, and the recall "
        f"of objects differs from a random ranking's by {grounds.skill:+.3f}, short of the {detectable:.3f} that this "
        "run could detect."
    )


_NO_ATTACKS = "No attack was measured on the sides of this model, or the scores of the attacks do not vary."


def _on_membership(grounds: Grounds) -> Verdict:
    rows = [row for row in grounds.attacks if row["p_value"] is not None]
    primary = grounds.primary
    if reason := _no_test(grounds) or _too_few(primary) or ("" if rows else _NO_ATTACKS):
        return Verdict(MEMBERSHIP, CANNOT_SAY, None, None, None, None, f"Membership: cannot say. {reason}")
    p_of = {id(row): min(1.0, len(rows) * row["p_value"]) for row in rows}
    detected = [row for row in rows if p_of[id(row)] <= LEVEL]
    row = max(detected or rows, key=lambda r: (r["value"], r["attack"], r["side"]))
    p = min(p_of.values())
    measured = (
        f"{ATTACK_NAMES[row['attack']]} tells the training pairs of side {row['side']} from others at ROC AUC "
        f"{row['value']:.3f} [{_plain(row['ci_low'])}, {_plain(row['ci_high'])}], null {_plain(row['null_value'])} "
        f"({_p(p, grounds.draws, len(rows))} over {len(rows)} {'attack' if len(rows) == 1 else 'attacks'})"
    )
    if not detected:
        return Verdict(MEMBERSHIP, NOT_DETECTED, None, row, p, None, f"Membership not detected: {measured}.")
    letters = sorted({r["side"] for r in detected})
    sides = "both" if len(letters) > 1 else letters[0]
    sentence = f"Membership detected{_who(sides, grounds.one_model)}: {measured}.{_lists(grounds)}"
    return Verdict(MEMBERSHIP, DETECTED, sides, row, p, None, sentence)


def _sides(memories: Mapping[str, float | None]) -> str | None:
    remembering = [side for side, p in memories.items() if p is not None and p <= LEVEL]
    return "both" if len(remembering) > 1 else next(iter(remembering), None)


def _who(sides: str | None, one_model: bool) -> str:
    if one_model:
        return ""
    if sides is None:
        return " (which of the two models is not known)"
    return " (both models)" if sides == "both" else f" (model {sides})"


def _cell_text(cell: Mapping) -> str:
    return (
        f"symmetric {METRIC_NAMES[cell['metric']]} of {SCOPE_NAMES[cell['scope']]} (k = {cell['k']}, "
        f"labels: {cell['labels']})"
    )


def _family(grounds: Grounds) -> str:
    queries = len({cell["query"] for cell in grounds.tested})
    return f"all {len(grounds.tested)} gaps of {queries} {'query' if queries == 1 else 'queries'}"


def _gap(cell: Mapping) -> str:
    text = f"{cell['value']:+.3f} [{_signed(cell['ci_low'])}, {_signed(cell['ci_high'])}]"
    if cell["expected"]:
        text += f", of which {cell['expected']:+.3f} comes from how often things are repeated in either role"
    return text


def _lists(grounds: Grounds) -> str:
    compared = [role for role in ("a", "b") if role in grounds.listed]
    if not compared:
        return ""
    return (
        f" {'Roles a and b are lists' if len(compared) > 1 else f'Role {compared[0]} is a list'}: this verdict assumes "
        "that, among samples that are repeated equally often, only training distinguishes the listed samples."
    )


def _p(p: float, draws: int, times: int = 1) -> str:
    """Return a p-value in words, after a correction for ``times`` tests.

    A p-value counted over random draws cannot be smaller than 1 / (draws + 1), so there it is only an upper bound.
    """
    smallest = times / (draws + 1)
    return f"p {'≤' if p <= smallest * (1 + 1e-9) else '='} {p:.2g}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}"


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
