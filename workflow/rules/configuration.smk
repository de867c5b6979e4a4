# Needs:  `config`, and the project's folder BASE
# Makes:  CONFIG, the checked and complete configuration, and from it datasets, models, queries and lists of files.
#         Refuses a configuration that names missing files or models, which jobs might need only after hours.

from dejavu.config import load_config
from dejavu.config.schema import own_keys
from dejavu.data.import_files import find_imports
from dejavu.data.vocabulary import read_vocabulary, vocabulary_hash
from dejavu.errors import InputError
from dejavu.files import matching_files
from dejavu.plan.datasets import Dataset
from dejavu.plan.needs import check_what_is_needed
from dejavu.plan.parameters import (
    kept_neighbors,
    other_queries,
    other_texts,
    text_queries,
)
from dejavu.plan.results import check_results_folder, check_unchanged
from dejavu.plan.supply import check_supply
from dejavu.tables.roles import SHARED
from dejavu.sides import TFIDF as BUILT_IN
from dejavu.sides import side_of
from dejavu.tables.fields import POPULATIONS, ROLES, SIDES
from dejavu.tables.queries import CAPTION

SCHEMA = BASE / "workflow" / "schemas" / "config.schema.yaml"


def require_models():
    """Refuse a checkpoint that is neither a file nor in the cache.

    Only a configuration with a checkpoint imports OpenCLIP here, which takes seconds.
    """
    sides = [
        side
        for model in CONFIG["models"].values()
        for side in model.get("sides", {}).values()
    ]
    checkpoints = [side for side in sides if side["checkpoint"] is not None]
    if checkpoints:
        from dejavu.encoders.find import find_model

        for side in checkpoints:
            find_model(side["checkpoint"], side["architecture"])


def annotated_from(source):
    """Return the names of the datasets whose objects come from a source."""
    return [
        name
        for name, section in CONFIG["datasets"].items()
        if section["annotate"]["from"] == source
    ]


try:
    CONFIG = load_config(config, SCHEMA, BASE, workflow.config_settings.config)
    DATASETS = {
        name: Dataset.of(name, section) for name, section in CONFIG["datasets"].items()
    }
    check_results_folder(Path("results"))
    # Only the main process checks this: every job of a run also reads the rules.
    UNSEEN = (
        check_unchanged(Path("results"), Path(".snakemake"))
        if workflow.is_main_process
        else None
    )
    for split, section in CONFIG["splits"].items():
        check_supply(split, section, DATASETS)
    if workflow.is_main_process:
        check_what_is_needed(CONFIG, DATASETS)
        require_models()
    IMPORTS = {
        name: find_imports(
            f"datasets.{name}.annotate.files",
            CONFIG["datasets"][name]["annotate"]["files"],
        )
        for name in annotated_from("import")
    }
    VOCABULARIES = {
        name: vocabulary_hash(
            read_vocabulary(
                CONFIG["datasets"][name]["annotate"]["vocabulary"],
                f"datasets.{name}.annotate.vocabulary",
            )
        )
        for name in annotated_from("detector")
    }
    # (model, side) -> result files of clip-benchmark for a checkpoint
    CLIP_BENCHMARK = {
        (name, letter): matching_files(
            f"models.{name}.sides.{letter}.clip_benchmark", side["clip_benchmark"]
        )
        for name, model in CONFIG["models"].items()
        for letter, side in model.get("sides", {}).items()
        if side["clip_benchmark"]
    }
except InputError as error:
    raise WorkflowError(str(error)) from None

# Scripts read this as snakemake.config. A workflow that imports this one keeps its own configuration.
config = CONFIG
MODELS = CONFIG["models"]
# Recipes as parameters of jobs: they omit keys at their default, so a new key changes no parameter.
RECIPES = {
    name: own_keys(model, SCHEMA)
    for name, model in MODELS.items()
    if "sides" not in model
}
TRAINED = list(RECIPES)
# Splits that are further replicates of another split.
REPLICATES = [name for name, split in CONFIG["splits"].items() if "replicate" in split]
# Models of one-model tests: side b is TF-IDF, or any text encoder.
TFIDF = [name for name in MODELS if side_of(MODELS, name, "b").source == BUILT_IN]
TEXT = [name for name in MODELS if not side_of(MODELS, name, "b").has_images]

ASKED = CONFIG["measure"]["queries"]
OTHER_QUERIES = other_queries(CONFIG)
QUERIES_OF_TEXT = text_queries(CONFIG)
OTHER_TEXTS = other_texts(CONFIG)
KEPT_NEIGHBORS = kept_neighbors(CONFIG)
POPULATION_TABLES = ["population_gaps", "bootstrap_draws", "top_l", "recall_curves"]

CONDA = "../../envs/gpu.yaml" if CONFIG["device"] == "cuda" else "../../envs/cpu.yaml"
GPUS = 1 if CONFIG["device"] == "cuda" else 0


def any_of(names):
    """Return a wildcard constraint for names; without names, a constraint that no value fulfils."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    dataset=any_of(CONFIG["datasets"]),
    split=any_of(CONFIG["splits"]),
    model=any_of(CONFIG["models"]),
    side="a|b",
    role="|".join((*ROLES, SHARED)),
    population="|".join(POPULATIONS),
    batch="[0-9a-f]{8}",
    index="[0-9]{5}",
    seen="[0-9]+",
