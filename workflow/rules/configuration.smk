# Needs:  `config`, and the project's folder BASE
# Makes:  CONFIG, checked and complete, and what follows from it: datasets, models, queries, files that it names
#         refuses what jobs would miss only after hours

from dejavu.config import load_config
from dejavu.config.schema import own_keys
from dejavu.data.import_files import find_imports
from dejavu.data.vocabulary import read_vocabulary, vocabulary_hash
from dejavu.errors import InputError
from dejavu.files import matching_files
from dejavu.plan.datasets import Dataset
from dejavu.plan.needs import check_what_is_needed
from dejavu.plan.results import check_results_folder, check_unchanged
from dejavu.plan.supply import check_supply
from dejavu.sides import TFIDF as BUILT_IN
from dejavu.sides import side_of
from dejavu.tables.fields import POPULATIONS, ROLES, SIDES
from dejavu.tables.queries import CAPTION, MASKED

SCHEMA = BASE / "workflow" / "schemas" / "config.schema.yaml"


def require_models():
    """Refuse a checkpoint that is not in the cache; asked only where there is one, since it takes seconds."""
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
    """The datasets whose objects come from a source."""
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
    # checked once, not per job
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
    # what clip-benchmark has written of checkpoints: (model, side) -> files
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

# scripts read it as snakemake.config; a workflow that imports this one keeps its own
config = CONFIG
MODELS = CONFIG["models"]
# the recipes as parameters: a new key that stands at its default changes none
RECIPES = {
    name: own_keys(model, SCHEMA)
    for name, model in MODELS.items()
    if "sides" not in model
}
TRAINED = list(RECIPES)
# the splits that are further replicates of another
REPLICATES = [name for name, split in CONFIG["splits"].items() if "replicate" in split]
# their side b is a text encoder: a one-model test
TFIDF = [name for name in MODELS if side_of(MODELS, name, "b").source == BUILT_IN]
TEXT = [name for name in MODELS if not side_of(MODELS, name, "b").has_images]

ASKED = CONFIG["measure"]["queries"]
OTHER_QUERIES = [query for query in ASKED if query != CAPTION]
QUERIES_OF_TEXT = [query for query in OTHER_QUERIES if query != MASKED]
# texts that are embedded for a caption besides itself
OTHER_TEXTS = len(QUERIES_OF_TEXT) + (
    CONFIG["measure"]["masked"]["captions"] if MASKED in ASKED else 0
)

# keep more neighbours than measured, so that another k needs no new search
KEPT_NEIGHBORS = max(100, *CONFIG["measure"]["k"])
POPULATION_TABLES = ["population_gaps", "bootstrap_draws", "top_l", "recall_curves"]

CONDA = "../../envs/gpu.yaml" if CONFIG["device"] == "cuda" else "../../envs/cpu.yaml"
GPUS = 1 if CONFIG["device"] == "cuda" else 0


def any_of(names):
    """A wildcard constraint; one that nothing fulfils where there is no name."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    dataset=any_of(CONFIG["datasets"]),
    split=any_of(CONFIG["splits"]),
    model=any_of(CONFIG["models"]),
    side="a|b",
    role="|".join(ROLES),
    population="|".join(POPULATIONS),
    batch="[0-9a-f]{8}",
    index="[0-9]{5}",
    seen="[0-9]+",
