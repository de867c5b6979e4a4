"""The choice of a dataset's form, by the keys of its section in the configuration."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from dejavu.data.forms.base import Form, Step
from dejavu.errors import InputError

NO_FORM = ("base", "registry")


@cache
def all_forms() -> tuple[type[Form], ...]:
    """Return all forms: ``FORM`` of each module in this folder but :data:`NO_FORM`, in order of the modules' names."""
    names = sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return tuple(import_module(f"dejavu.data.forms.{name}").FORM for name in names if name not in NO_FORM)


def all_steps() -> list[tuple[type[Form], Step]]:
    """Return every rule that makes raw files, with its form."""
    return [(form, step) for form in all_forms() for step in form.steps]


def form_of(name: str, section: Mapping[str, Any]) -> Form:
    """Return the form of a dataset.

    Args:
        name: name of the dataset.
        section: section of the dataset in the configuration.

    Raises:
        InputError: when the section has the key of no form, or the keys of several.
    """
    known = sorted({form.key for form in all_forms()})
    keys = [key for key in known if key in section]
    if len(keys) != 1:
        raise InputError(
            f"datasets.{name} needs exactly one of {', '.join(known[:-1])} and {known[-1]}: it has "
            f"{' and '.join(keys) or 'none'}."
        )
    (form,) = (form for form in all_forms() if form.gives(section))
    return form(name, section)
