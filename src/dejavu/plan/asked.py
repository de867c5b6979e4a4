"""Which roles may have more samples than are asked about."""

from __future__ import annotations

import math
from collections.abc import Mapping

from dejavu.data.forms.registry import form_of
from dejavu.tables.fields import POPULATIONS, SIDES


def may_exceed_limit(config: Mapping, split: str, role: str) -> bool:
    """Return whether a role can have more samples than ``measure.query_limit``, as far as the configuration says.

    Such a role has a manifest of its own of the samples that are asked about; of any other role, jobs read the role's
    manifest. The answer is the same before and after every job, because it rests on no file.

    Args:
        config: checked and complete.
        split, role: of it.
    """
    limit = config["measure"]["query_limit"]
    if role not in POPULATIONS or limit is None:
        return False
    roles = config["splits"][split]["roles"]
    section = roles[role]
    supply = form_of(section["dataset"], config["datasets"][section["dataset"]]).supply
    # Coins may deal nearly all of the training pool of a further replicate to one role.
    pool = SIDES if "replicate" in config["splits"][split] and role in SIDES else (role,)
    limits = [roles[name]["limit"] for name in pool]
    sizes = [None if None in limits else sum(limits), None if supply is None else math.prod(supply)]
    return all(size is None or size > limit for size in sizes)
