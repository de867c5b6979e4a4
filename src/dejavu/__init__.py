"""vlm-dejavu: what a vision-language model remembers about single training images.

The workflow is the command ``dejavu`` (``python -m dejavu``). These names are for a Python of your own; importing one
imports its module, and ``import dejavu`` alone imports nothing else. The words are those of docs/architecture.md.

Results of a finished run:
    ``open_database``, ``query_names``, ``Queries``
Labels of objects, and the scores of single queries:
    ``Normalizer``, ``NamedInCaption``, ``label_sets``, ``LabelSets``, ``count_hits``, ``Hits``, ``precision``,
    ``recall``, ``f1``
Gaps of a population, with their intervals, bands and tests:
    ``METRICS``, ``query_values``, ``by_group``, ``Values``, ``bootstrap``, ``interval``, ``max_t``, ``joint_test``,
    ``JointTest``
What is concluded:
    ``verdicts``, ``Grounds``, ``Verdict``
Single samples, membership and privacy loss:
    ``evidence``, ``Evidence``, ``q_values``, ``remembered_share``, ``levels``, ``roc_auc``, ``true_positive_rate``,
    ``audit``, ``Audit``, ``epsilon_bound``
Several trainings of one recipe:
    ``recipe_interval``, ``RecipeInterval``
Errors that a user can mend:
    ``InputError``
"""

__version__ = "0.2.0"

# module -> the names that it gives to this package
_PUBLIC = {
    "errors": ("InputError",),
    "memorization.audit": ("Audit", "audit", "epsilon_bound"),
    "memorization.discoveries": ("Evidence", "evidence", "q_values", "remembered_share"),
    "memorization.gaps": ("Values", "bootstrap", "by_group", "interval", "max_t"),
    "memorization.labels": ("LabelSets", "NamedInCaption", "Normalizer", "label_sets"),
    "memorization.membership": ("levels", "roc_auc", "true_positive_rate"),
    "memorization.metrics": ("METRICS", "query_values"),
    "memorization.permutation": ("JointTest", "joint_test"),
    "memorization.replicates": ("RecipeInterval", "recipe_interval"),
    "memorization.scores": ("Hits", "count_hits", "f1", "precision", "recall"),
    "memorization.verdicts": ("Grounds", "Verdict", "verdicts"),
    "report.queries": ("Queries",),
    "results": ("open_database", "query_names"),
}
_MODULES = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = ["__version__", *sorted(_MODULES)]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
