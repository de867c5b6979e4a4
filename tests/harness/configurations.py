"""A configuration for tests of single keys, and changes of it."""

from __future__ import annotations

import copy
from typing import Any

GIVEN: dict[str, Any] = {
    "datasets": {"demo": {"synthetic": {"pairs": 1000, "files": 2}}},
    "splits": {
        "default": {
            "dataset": "demo",
            "roles": {
                "a": {"interval": [0.0, 0.2], "limit": 100},
                "b": {"interval": [0.2, 0.4], "limit": 100},
                "public": {"interval": [0.4, 0.7], "limit": 200},
                "holdout": {"interval": [0.7, 1.0]},
            },
        }
    },
    "models": {
        "base": {"architecture": "ViT-B-32", "samples_seen": 5000, "batch_size": 64, "seed": 7},
        "masked": {"like": "base", "text_mask": 0.6},
        "longer": {"like": "masked", "samples_seen": 9000},
    },
    "measure": {"k": [1, 10]},
}
ROLES = "splits.default.roles"
STUDY = {"model": "base", "axis": "text_mask", "values": [0, 0.2]}
TFIDF = {"text_encoder": "tfidf"}
MISSING = object()


def changed(**changes: Any) -> dict:
    """The configuration with values set at dotted paths; MISSING takes a key away."""
    given = copy.deepcopy(GIVEN)
    for path, value in changes.items():
        *above, last = path.split(".")
        section = given
        for key in above:
            section = section.setdefault(key, {})
        if value is MISSING:
            del section[last]
        else:
            section[last] = copy.deepcopy(value)
    return given
