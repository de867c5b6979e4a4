# Needs:  the configuration
# Makes:  parameters of jobs. A job runs again when a parameter changes, so each holds no more than its job needs.

from functools import cache

from dejavu.code_hash import step_code
from dejavu.replicates import replicate_seed
from dejavu.plan import parameters
from dejavu.plan.parameters import as_json
from dejavu.plan.profiles import rerun_warnings
from dejavu.roles import drawing
from dejavu.tables.roles import roles_of


@cache
def warn_of_triggers():
    """Warn once per run where the rerun triggers are not those of this workflow's profiles.

    Snakemake knows the triggers only after it has read the rules, so parameter functions call this.
    """
    if workflow.is_main_process:
        triggers = [trigger.item_to_choice() for trigger in workflow.rerun_triggers]
        for sentence in rerun_warnings(triggers):
            logger.warning(sentence)


def code(script, step=None, module=None):
    """Return a parameter function for the code hash of a script, see dejavu.code_hash.

    `step` is the name of the step where several steps run the script. `module` is a module that the script imports
    without an import statement. The hash is computed only when the rule has a job, because every job of a cluster
    reads all rules.
    """

    @cache
    def hashed():
        return step_code(script, BASE, module, step)

    def parameter(wildcards):
        warn_of_triggers()
        return hashed()

    return parameter


def form_value(value):
    """Return a parameter function for a value that depends on the form of a dataset."""
    return lambda w: value(DATASETS[w.dataset].form)


def split_of(wildcards):
    return CONFIG["splits"][wildcards.split]


def replicate(wildcards):
    """Which replicate of which split a split is: a mapping with `of` and `number`; 0 where it is a split of its own."""
    section = split_of(wildcards)
    return section.get("replicate", {"of": wildcards.split, "number": 0})


def recipe_of(wildcards):
    """A model's recipe as a parameter; in a further replicate with a seed of its own."""
    recipe, number = RECIPES[wildcards.model], replicate(wildcards)["number"]
    if number:
        seed = MODELS[wildcards.model]["seed"]
        recipe = recipe | {"seed": replicate_seed(seed, number)}
    return as_json(recipe)


def side(wildcards):
    return side_of(MODELS, wildcards.model, wildcards.side, int(wildcards.seen))


def built_from(wildcards):
    """Return the section of the configuration that defines a side: an entry of `sides`, or the whole model."""
    model = MODELS[wildcards.model]
    return model["sides"][wildcards.side] if "sides" in model else model


def measure_part(*keys):
    return as_json({key: CONFIG["measure"][key] for key in keys})


def columns_of(wildcards):
    return as_json(DATASETS[wildcards.dataset].columns)


def annotate_of(wildcards):
    return CONFIG["datasets"][wildcards.dataset]["annotate"]


def batch_files(wildcards):
    """Return the names of a batch's raw files, in the order of their paths in the rule's input."""
    return as_json(DATASETS[wildcards.dataset].batches[wildcards.batch])


def role_dataset(wildcards, role):
    """Return the name of the dataset that a role's samples come from."""
    return split_of(wildcards)["roles"][role]["dataset"]


def split_datasets(wildcards):
    """Return the datasets of a split: its own first, then those of roles with another dataset."""
    roles = roles_of(split_of(wildcards))
    names = [role_dataset(wildcards, role) for role in roles]
    return [
        DATASETS[name]
        for name in dict.fromkeys([split_of(wildcards)["dataset"], *names])
    ]


def drawn(wildcards):
    """Return the part of a split's configuration that the samples of a role depend on."""
    return drawing(split_of(wildcards), wildcards.role)


def drawings(wildcards):
    """Return how the samples of each query role were chosen, as JSON."""
    return as_json(parameters.query_drawings(split_of(wildcards)))


def shared_criteria(wildcards):
    """Return the criteria of duplicates that are on for all datasets of a split."""
    return parameters.shared_criteria(
        dataset.section for dataset in split_datasets(wildcards)
    )


def masking(wildcards):
    """Return how the captions of the query `masked` are masked under a side, as JSON."""
    return as_json(parameters.masking(CONFIG, side(wildcards)))
