"""Tables of membership attacks as the field reports them."""

from __future__ import annotations

import pyarrow as pa

from dejavu.tables.fields import SIDE, field

EVALUATION, CONTROL = "evaluation", "control"
_ATTACK = field(
    "attack",
    pa.string(),
    "csa: cosine of a pair; reference_csa: cosine under this side minus under the other; clipmem: alignment, likewise; "
    "recall_gap: recall of objects, likewise; rmia: cosine against other replicates' models, pairwise with the holdout",
)
_CONTRAST = field("contrast", pa.string(), "evaluation: members against non-members; control: nobody was trained on")


def _rate(percent: str, name: str) -> list[pa.Field]:
    """Return the columns of a true and a false positive rate at a threshold."""
    tpr, fpr = f"tpr_at_{name}", f"fpr_at_{name}"
    return [
        field(tpr, pa.float64(), f"share of members above a threshold for {percent} false positives; null: too few"),
        field(f"{tpr}_low", pa.float64(), "lower end of its 95 % interval (Clopper-Pearson)"),
        field(f"{tpr}_high", pa.float64(), "upper end of it"),
        field(fpr, pa.float64(), "share above that threshold of the third of the non-members that did not set it"),
        field(f"{fpr}_low", pa.float64(), "lower end of its 95 % interval (Clopper-Pearson)"),
        field(f"{fpr}_high", pa.float64(), "upper end of it"),
    ]


# false positive rate in percent, and what stands for it in the names of columns
RATE_NAMES = {"1 %": "1_percent", "0.1 %": "0_1_percent"}
MEMBERSHIP = pa.schema(
    [
        _ATTACK,
        _CONTRAST,
        field("members", pa.string(), "role of the members; of a control, of those in their place"),
        field("others", pa.string(), "role of the non-members; the same role as members: two halves of it"),
        field("replicates", pa.int32(), "number of pairs of models that the score rests on"),
        field("n_members", pa.int64(), "number of duplicate groups of members, each with its mean score"),
        field("n_others", pa.int64(), "number of those of non-members"),
        field("auc", pa.float64(), "ROC AUC: how often a member scores higher than a non-member, ties half"),
        field("auc_low", pa.float64(), "lower end of its 95 % interval (Newcombe)"),
        field("auc_high", pa.float64(), "upper end of it"),
        *(column for percent, name in RATE_NAMES.items() for column in _rate(percent, name)),
    ]
)
MEMBERSHIP_CURVES = pa.schema(
    [
        _ATTACK,
        _CONTRAST,
        field("fpr", pa.float64(), "false positive rate, logarithmically spaced"),
        field("tpr", pa.float64(), "true positive rate at the same threshold; curve of all groups, no interval"),
    ]
)
# the same with the side, where one file has both
OF_SIDES = pa.schema([SIDE, *MEMBERSHIP])
CURVES_OF_SIDES = pa.schema([SIDE, *MEMBERSHIP_CURVES])
# the tables that the attacks on a side make together
ATTACK_TABLES = ("attacks", "sample_attacks", "membership", "membership_curves")
