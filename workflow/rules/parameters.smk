# Needs:  the configuration
# Makes:  parameters of jobs, no wider than they must be, since a job runs again when one of them changes

from functools import cache

from dejavu.config.replicates import replicate_seed
from dejavu.fingerprint import step_code
from dejavu.plan import parameters
from dejavu.plan.parameters import as_json
from dejavu.plan.profiles import rerun_warnings
from dejavu.roles import drawing


@cache
def warn_of_triggers():
    """Say what follows from rerun triggers other than ours, once a run; while rules are read they are not known."""
    if workflow.is_main_process:
        triggers = [trigger.item_to_choice() for trigger in workflow.rerun_triggers]
        for sentence in rerun_warnings(triggers):
            logger.warning(sentence)


def code(script, step=None, module=None):
    """A parameter: what a script computes, see dejavu.fingerprint.

    step: the name of a step, where several run the script; module: what the script imports by a name that only the run
    knows. Hashed only when a job of the rule is there, since every job of a cluster reads all rules.
    """

    @cache
    def hashed():
        return step_code(script, BASE, module, step)

    def parameter(wildcards):
        warn_of_triggers()
        return hashed()

    return parameter


def form_value(value):
    """A parameter of a step: a value that a dataset's form says."""
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
    """The section of the configuration that says how a side's model is built."""
    model = MODELS[wildcards.model]
    return model["sides"][wildcards.side] if "sides" in model else model


def measure_part(*keys):
    return as_json({key: CONFIG["measure"][key] for key in keys})


def columns_of(wildcards):
    return as_json(DATASETS[wildcards.dataset].columns)


def annotate_of(wildcards):
    return CONFIG["datasets"][wildcards.dataset]["annotate"]


def batch_files(wildcards):
    """Raw names of a batch as a parameter: their paths are the rule's input, in the same order."""
    return as_json(DATASETS[wildcards.dataset].batches[wildcards.batch])


def role_dataset(wildcards, role):
    """The name of the dataset that a role's samples come from."""
    return split_of(wildcards)["roles"][role]["dataset"]


def split_datasets(wildcards):
    """The datasets of a split: its own first, then those that only roles name."""
    names = [role_dataset(wildcards, role) for role in ROLES]
    return [
        DATASETS[name]
        for name in dict.fromkeys([split_of(wildcards)["dataset"], *names])
    ]


def drawn(wildcards):
    """What the samples of a role depend on."""
    return drawing(split_of(wildcards), wildcards.role)


def drawings(wildcards):
    """How the samples of the query roles were chosen."""
    return as_json(parameters.query_drawings(split_of(wildcards)))


def shared_criteria(wildcards):
    """The criteria of duplicates that all datasets of a split have on."""
    return parameters.shared_criteria(
        dataset.section for dataset in split_datasets(wildcards)
    )


def masking(wildcards):
    """How the captions of the query `masked` are masked."""
    return as_json(parameters.masking(CONFIG, side(wildcards)))
