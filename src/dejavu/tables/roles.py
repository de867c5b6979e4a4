"""The roles that a split has, and those that a side is trained on."""

from __future__ import annotations

from collections.abc import Mapping

from dejavu.tables.fields import ROLES

# The role that a split need not have: both sides are trained on its samples, and nothing is asked about them. It is not
# among ROLES, which every split has.
SHARED = "shared"


def roles_of(split: Mapping) -> tuple[str, ...]:
    """Return the roles of a split: those that every split has, then ``shared`` where it has that role.

    Args:
        split: the section of a split in a configuration.
    """
    return (*ROLES, SHARED) if SHARED in split["roles"] else ROLES


def training_roles(split: Mapping, letter: str) -> tuple[str, ...]:
    """Return the roles that a side is trained on: its own, then ``shared`` where the split has that role.

    Args:
        split: the section of a split in a configuration.
        letter: ``a`` or ``b``.
    """
    return tuple(role for role in roles_of(split) if role in (letter, SHARED))
