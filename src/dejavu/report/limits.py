"""What a run could not see, model by model: sentences for the audit and the model card, from the database alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dejavu.memorization.verdicts import OBJECTS
from dejavu.report.queries import Queries

ONE_MODEL = (
    "The reference has read captions only, so the gap on role a alone holds all that images teach a model; only its "
    "comparison with role b shows memory.",
    "The test rests on the declared membership: if samples of role b or of the holdout were trained on after all, "
    "memorization is underestimated.",
    "One of the two sides remembers, so for the same memory the symmetric gap is about half of a two-model test's.",
    "The test proves memory of no single sample.",
)


def limits(queries: Queries) -> dict[str, list[str]]:
    """Return model -> sentences on what this run could have missed, and on what its numbers do not cover."""
    shared = list(_of_the_run(queries))
    over_trainings = {row["model"] for row in queries.rows("recipe_intervals")}
    verdicts = [row for row in queries.rows("verdicts") if row["about"] == OBJECTS]
    one_models = {row["model"] for row in queries.rows("one_models")}
    return {
        row["model"]: [
            *_of_model(row),
            *(ONE_MODEL if row["model"] in one_models else ()),
            *(() if row["model"] in over_trainings else (_NOISE,)),
            *shared,
        ]
        for row in verdicts
    }


_NOISE = "These are numbers of the models that were trained; no interval covers the noise of another training."


def _of_model(verdict: Mapping) -> Iterator[str]:
    if verdict["detectable"] is not None:
        yield (
            f"A gap below {verdict['detectable']:.3f} in the cell chosen beforehand could have been missed: the joint "
            "test finds a gap of that size in 80 % of such runs."
        )
    if verdict["effective_groups"] is not None:
        yield (
            f"The smaller training role counts as {verdict['effective_groups']:,.0f} independent groups of samples "
            "(effective groups)."
        )


def _of_the_run(queries: Queries) -> Iterator[str]:
    for row in queries.rows("asked_roles"):
        yield (
            f"Of role {row['role']}, {row['asked']:,} of {row['samples']:,} samples were asked about, drawn at random."
        )
    for row in queries.rows("listed_roles"):
        yield (
            f"A list gives role {row['role']}: {row['listed']:,} uids, of which the dataset lacks {row['missing']:,}."
        )
    for row in queries.rows("blind_baseline"):
        says = "captions alone tell them apart, so their comparison is void" if row["is_apart"] else "as chance would"
        yield (
            f"Captions alone tell role {row['role']} from role {row['other']} at ROC AUC {row['auc']:.3f} (standard "
            f"error {row['std_error']:.3f}): {says}."
        )
    for row in queries.rows("checkpoints"):
        if not row["preprocessing_known"]:
            yield (
                f"How images were prepared for the checkpoint of {row['model']}, side {row['side']}, is not known; "
                "OpenCLIP's default was used."
            )
