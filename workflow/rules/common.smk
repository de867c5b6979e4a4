# Needs:  the configuration
# Makes:  CONFIG, checked and complete, and the functions that say which files there are

import json
import logging
import math
import os
import sys
import time
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import RerunTrigger
from snakemake_interface_logger_plugins.common import LogEvent

# not workflow.basedir, which is that of a workflow that imports this one as a module
BASE = Path(str(workflow.current_basedir)).parents[1]
SOURCES = BASE / "src"
sys.path.insert(0, str(SOURCES))

from dejavu.config import architecture_path, load_config, own_keys
from dejavu.data.benchmarks import drawn_datasets
from dejavu.data.imported import find_imports
from dejavu.data.vocabulary import read_vocabulary, vocabulary_hash
from dejavu.errors import InputError
from dejavu.files import matching_files
from dejavu.fingerprint import step_code
from dejavu.plan import (
    Dataset,
    check_results_folder,
    check_supply,
    check_unchanged,
    check_what_is_needed,
    lost_metadata,
    tell_jobs,
)
from dejavu.roles import drawing, trained_in
from dejavu.slurm import end_leftovers
from dejavu.sides import TFIDF as BUILT_IN
from dejavu.sides import side_of, sides_measured, trained_sides
from dejavu.tables.fields import POPULATIONS, ROLES, SIDES
from dejavu.tables.queries import CAPTION, MASKED

tell_jobs(SOURCES, on_cluster=workflow.remote_exec)
SCHEMA = BASE / "workflow" / "schemas" / "config.schema.yaml"
try:
    CONFIG = load_config(config, SCHEMA, BASE)
    DATASETS = {
        name: Dataset.of(name, section) for name, section in CONFIG["datasets"].items()
    }
    check_results_folder(Path("results"))
    # once, and not in every job
    UNSEEN = (
        check_unchanged(Path("results"), Path(".snakemake"))
        if workflow.is_main_process
        else None
    )
    for split, section in CONFIG["splits"].items():
        check_supply(split, section, DATASETS)
    if workflow.is_main_process:
        check_what_is_needed(CONFIG, DATASETS)
except InputError as error:
    raise WorkflowError(str(error)) from None


def require_models():
    """Refuses a checkpoint that is not in the cache; asked only where there is one, since it takes seconds."""
    sides = [
        s
        for model in CONFIG["models"].values()
        for s in model.get("sides", {}).values()
    ]
    checkpoints = [s for s in sides if s["checkpoint"] is not None]
    if checkpoints:
        from dejavu.training.pretrained import find_model

        for one in checkpoints:
            find_model(one["checkpoint"], one["architecture"])


if workflow.is_main_process:
    try:
        require_models()
    except InputError as error:
        raise WorkflowError(str(error)) from None

if lost_metadata(Path("results"), Path(".snakemake/metadata")):
    logger.warning(
        "results/ is here but .snakemake/metadata is not, so changes of configuration or code since those results "
        "were made cannot be seen: copy .snakemake/metadata along with results/, or add --forceall to make all anew."
    )
if UNSEEN is not None:
    logger.warning(UNSEEN)

# what scripts see as snakemake.config
config |= CONFIG
MODELS = CONFIG["models"]
# the recipes as parameters: a new key that stands at its default changes none
RECIPES = {
    name: own_keys(model, SCHEMA)
    for name, model in MODELS.items()
    if "sides" not in model
}
TRAINED = list(RECIPES)
# their side b is a text encoder: a one-model test
TFIDF = [name for name in MODELS if side_of(MODELS, name, "b").source == BUILT_IN]
TEXT = [name for name in MODELS if side_of(MODELS, name, "b").kind == "text_encoder"]

ASKED = CONFIG["measure"]["queries"]
OTHER_QUERIES = [query for query in ASKED if query != CAPTION]
QUERIES_OF_TEXT = [query for query in OTHER_QUERIES if query != MASKED]
# texts that are embedded for a caption besides itself
OTHER_TEXTS = len(QUERIES_OF_TEXT) + (
    CONFIG["measure"]["masked"]["captions"] if MASKED in ASKED else 0
)

# more than are measured, so that another k is scored without searching again
KEPT_NEIGHBORS = max(100, *CONFIG["measure"]["k"])

CONDA = "../../envs/gpu.yaml" if CONFIG["device"] == "cuda" else "../../envs/cpu.yaml"
GPUS = 1 if CONFIG["device"] == "cuda" else 0
# what the time that jobs ask for comes from: samples a second that a process embeds or trains on, pairs a minute that a
# search compares, all at the least; texts that take no longer than a sample; and rows of a manifest of 1 GB
EMBEDDED, TRAINED_ON, COMPARED = (100, 300, 1e11) if GPUS else (20, 20, 5e9)
TEXTS_PER_SAMPLE = 5
ROWS_PER_GB = 20_000_000


wildcard_constraints:
    dataset="|".join(map(re.escape, CONFIG["datasets"])),
    split="|".join(map(re.escape, CONFIG["splits"])),
    model="|".join(map(re.escape, CONFIG["models"])),
    side="a|b",
    role="|".join(ROLES),
    population="|".join(POPULATIONS),
    batch="[0-9a-f]{8}",
    index="[0-9]{5}",
    seen="[0-9]+",


def code(script):
    """A parameter: what a script computes, see dejavu.fingerprint.

    Only when a job of the rule is there, since every job of a cluster reads all rules.
    """

    @cache
    def hashed():
        return step_code(script, BASE)

    return lambda wildcards: hashed()


def growing(base, per_gb=0, of=None):
    """A resource, mem_mb or runtime, that grows with the input and with every further attempt of a job.

    base: what an empty input takes; per_gb: more for each GB of the input, all or the named entries of it.
    """

    def amount(wildcards, input, attempt):
        given = (
            input
            if of is None
            else [file for name in of for file in as_list(input.get(name))]
        )
        return attempt * math.ceil(base + per_gb * sum(map(size_of, given)) / 1e9)

    return amount


def search_minutes(*queries, times=1):
    """A resource, runtime: what searches ask for, which grows with queries times searched.

    queries: entries of the input that are row arrays, of 8 bytes a row; times: how often each of them is searched with.
    """

    def minutes(wildcards, input, attempt):
        asked = times * sum(size_of(input[name]) for name in queries) / 8
        searched = size_of(input["public_rows"]) / 8
        return attempt * math.ceil(30 + asked * searched / COMPARED)

    return minutes


def size_of(path):
    """Bytes of a file, or of the files in a folder; none for what is not there yet.

    That is what another member of the same group of cluster jobs makes: Snakemake would leave a member whose resources
    cannot be said out of what it asks for the group.
    """
    if not os.path.exists(path):
        return 0
    folder = os.path.isdir(path)
    return (
        sum(e.stat().st_size for e in os.scandir(path))
        if folder
        else os.stat(path).st_size
    )


def as_list(entry):
    """The files of a named entry of an input."""
    return [entry] if isinstance(entry, str) else entry or []


def as_json(value):
    """A parameter that does not change when the configuration is only reordered."""
    return json.dumps(value, sort_keys=True)


def split_of(wildcards):
    return CONFIG["splits"][wildcards.split]


POPULATION_TABLES = ["population_gaps", "bootstrap_draws", "top_l", "recall_curves"]


def drawn(wildcards):
    """What the samples of a role depend on."""
    return drawing(split_of(wildcards), wildcards.role)


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


def shared_criteria(wildcards):
    """The criteria of duplicates that all datasets of a split have on."""
    sections = [
        CONFIG["datasets"][one.name]["duplicates"] for one in split_datasets(wildcards)
    ]
    exact = {
        name: all(section[name] for section in sections)
        for name in ("key", "image", "caption")
    }
    return {**exact, "near_image": None}


def folders(kind, *roles):
    """Batch folders of a table, as an input function: of the datasets of the given roles, or of the whole split.

    Roles are named, or given as the wildcard that holds one.
    """

    def found(wildcards):
        names = [getattr(wildcards, role, role) for role in roles]
        datasets = (
            [DATASETS[role_dataset(wildcards, name)] for name in dict.fromkeys(names)]
            if names
            else split_datasets(wildcards)
        )
        return list(
            dict.fromkeys(
                folder for dataset in datasets for folder in dataset.folders(kind)
            )
        )

    return found


def any_of(names):
    """A wildcard constraint; one that nothing fulfils where there is no name."""
    return "|".join(map(re.escape, names)) or "(?!)"


def made_from(kind):
    """A wildcard constraint: the datasets that are given by such a section."""
    return any_of(
        name for name in CONFIG["datasets"] if kind in CONFIG["datasets"][name]
    )


def side(wildcards):
    return side_of(MODELS, wildcards.model, wildcards.side, int(wildcards.seen))


def built_from(wildcards):
    """The section of the configuration that says how a side's model is built."""
    model = MODELS[wildcards.model]
    return model["sides"][wildcards.side] if "sides" in model else model


def architecture_file(wildcards):
    """The architecture's JSON file as an input, nothing for a name that OpenCLIP knows."""
    # none for a text encoder, whose other rule comes first, and for a folder that says what is in it
    name = built_from(wildcards)["architecture"]
    path = None if name is None else architecture_path(name, BASE)
    return [] if path is None else str(path)


def training_nodes(wildcards):
    """How many machines of a cluster train a side of a model together."""
    return (
        CONFIG["training"]["nodes"] if MODELS[wildcards.model]["processes"] > 1 else 1
    )


def training_resources():
    """What a training asks for: the same on every node, and what makes Slurm give several where they are wanted."""

    def share(w):
        return MODELS[w.model]["processes"] // training_nodes(w)

    def memory(wildcards, attempt):
        model = MODELS[wildcards.model]
        # samples as they are stored, and decoded images of some batches
        held = model["shuffle_buffer"] // 20 + model["batch_size"] // model["processes"]
        return attempt * share(wildcards) * (4000 + held)

    def minutes(wildcards):
        # not more for a further attempt, which goes on from the last state; so for a long training a day will do
        model = MODELS[wildcards.model]
        rate = TRAINED_ON * model["processes"] * (1 if GPUS else model["torch_threads"])
        return min(1440, math.ceil(30 + model["samples_seen"] / rate / 60))

    resources = {
        "mem_mb": memory,
        "runtime": minutes,
        "nodes": training_nodes,
        "gpu": lambda w: GPUS * share(w),
    }
    if CONFIG["training"]["nodes"] > 1:
        resources |= {
            "mpi": lambda w: "srun" if training_nodes(w) > 1 else "",
            "tasks": lambda w: training_nodes(w) if training_nodes(w) > 1 else 0,
            "cpus_per_task": lambda w: MODELS[w.model]["torch_threads"] * share(w),
            # Slurm is told per node
            "gpu": lambda w: GPUS * share(w) if training_nodes(w) == 1 else 0,
            "slurm_extra": lambda w: (
                f"--gpus-per-node={share(w)}" if GPUS and training_nodes(w) > 1 else ""
            ),
        }
    return resources


@cache
def trainer(split, model, letter):
    """The folder of the split that trains a side, which may be another split with the same training set.

    Asked once: while a job writes its output anew, what was there is gone.
    """
    return trained_in(CONFIG, split, model, letter, Path("results"))


def weights(wildcards):
    """Where a side's weights are: the folder that training makes, a file or folder, or nothing for what is cached."""
    if side(wildcards).kind == "trained":
        folder = trainer(wildcards.split, wildcards.model, wildcards.side)
        return f"{folder}/models/{wildcards.model}/{wildcards.side}/checkpoints"
    source = Path(side(wildcards).source.removeprefix("local-dir:"))
    return str(source) if source.exists() else []


def embedding(wildcards, letter, role, kind):
    """The embedding array of a role under a side, which another model's side may have made."""
    one = side_of(MODELS, wildcards.model, letter, int(wildcards.seen))
    model, seen = one.embedded
    return (
        f"results/{wildcards.dataset}/{wildcards.split}/embeddings/{model}/{letter}/"
        f"{seen}/{role}.{kind}.npy"
    )


def masking(wildcards):
    """How the captions of the query `masked` are masked: as in the side's training, if that hides parts of them."""
    model, stated = MODELS[side(wildcards).model], CONFIG["measure"]["masked"]
    own = model.get("text_mask") or None
    keys = ("text_mask", "text_mask_unit", "text_mask_with")
    how = (
        {key: model[key] for key in keys}
        if own
        else MASKED_WORDS | {"text_mask": stated["text_mask"]}
    )
    return as_json(
        how | {"captions": stated["captions"], "seed": CONFIG["measure"]["seed"]}
    )


# how a recipe masks that says no more than how much
MASKED_WORDS = {"text_mask_unit": "words", "text_mask_with": "nothing"}


def query_embeddings(wildcards):
    """What queries but captions search with, and what they search, under a side."""
    found = {
        f"{role}_{query}": embedding(wildcards, wildcards.side, role, query)
        for role in POPULATIONS
        for query in OTHER_QUERIES
    }
    found |= {
        f"{role}_rows": embedding(wildcards, wildcards.side, role, "rows")
        for role in POPULATIONS
    }
    return found | {
        "public": embedding(wildcards, wildcards.side, "public", "images"),
        "public_rows": embedding(wildcards, wildcards.side, "public", "rows"),
    }


def query_neighbors(letter):
    """The neighbour tables of a population under a side, by query.

    A text encoder is asked with the caption whatever the model is asked with: it knows what captions tell, at its best.
    """

    def found(wildcards):
        reads_only = side_of(MODELS, wildcards.model, letter).kind == "text_encoder"
        folder = (
            f"results/{wildcards.dataset}/{wildcards.split}/neighbors/"
            f"{wildcards.model}/{letter}/{wildcards.seen}/{wildcards.population}"
        )
        return [
            (
                f"{folder}.parquet"
                if query == CAPTION or reads_only
                else f"{folder}.{query}.parquet"
            )
            for query in ASKED
        ]

    return found


def other_neighbors(wildcards):
    """A split's neighbour tables of all queries but captions."""
    return [
        f"results/{wildcards.dataset}/{wildcards.split}/neighbors/{one.model}/{one.letter}/{one.seen}/"
        f"{role}.{query}.parquet"
        for one in sides_measured(CONFIG, wildcards.split)
        if one.kind != "text_encoder"
        for role in POPULATIONS
        for query in OTHER_QUERIES
    ]


def query_duplicates(wildcards):
    """The duplicate groups of the datasets that query roles come from."""
    names = [role_dataset(wildcards, role) for role in POPULATIONS]
    return [f"results/{name}/duplicates.parquet" for name in dict.fromkeys(names)]


def drawings(wildcards):
    """How the samples of the query roles were chosen."""
    roles = split_of(wildcards)["roles"]
    return as_json(
        {
            role: {
                "dataset": roles[role]["dataset"],
                "listed": roles[role]["uids"] is not None,
            }
            for role in POPULATIONS
        }
    )


def attacked_embeddings(wildcards):
    """Embeddings of all query roles under a side, and under the other side where that has images too."""
    sides = {"own": wildcards.side, "other": "b" if wildcards.side == "a" else "a"}
    if side_of(MODELS, wildcards.model, sides["other"]).kind == "text_encoder":
        del sides["other"]
    return {
        f"{which}_{role}_{kind}": embedding(wildcards, letter, role, kind)
        for which, letter in sides.items()
        for role in POPULATIONS
        for kind in ("images", "captions", "rows")
    }


def training_tables(wildcards):
    """What training has noted, of every side that is trained here."""
    return [
        f"{trainer(wildcards.split, one.model, one.letter)}/models/{one.model}/{one.letter}/training.parquet"
        for one in trained_sides(sides_measured(CONFIG, wildcards.split))
    ]


def clip_benchmark_results(wildcards):
    """The results that clip-benchmark has written of a checkpoint."""
    return RESULTS.get((wildcards.model, wildcards.side), [])


def described_checkpoints(wildcards):
    """What is known of the checkpoints from elsewhere that a split measures."""
    return [
        f"results/{wildcards.dataset}/{wildcards.split}/embeddings/{one.model}/{one.letter}/{one.seen}/checkpoint.json"
        for one in sides_measured(CONFIG, wildcards.split)
        if one.kind == "checkpoint"
    ]


def embedded_sides(wildcards):
    """The sides of a split that are embedded for themselves, which have utility and attacks of their own."""
    return [one for one in sides_measured(CONFIG, wildcards.split) if one.own]


def per_model(pattern, **more):
    """A split's files of a kind for everything that is measured, as an input function."""

    def files(wildcards):
        return [
            path
            for model, seens in sorted(split_of(wildcards)["models"].items())
            for path in expand(
                pattern,
                dataset=wildcards.dataset,
                split=wildcards.split,
                model=model,
                seen=seens,
                **more,
            )
        ]

    return files


def per_weights(pattern, **more):
    """A split's files of a kind for every side that has images, once for the same weights, as an input function."""

    def files(wildcards):
        sides = [
            one for one in sides_measured(CONFIG, wildcards.split) if one.has_images
        ]
        return list(
            dict.fromkeys(
                path
                for one in sides
                for path in expand(
                    pattern,
                    dataset=wildcards.dataset,
                    split=wildcards.split,
                    model=one.embedded[0],
                    side=one.letter,
                    seen=one.embedded[1],
                    **more,
                )
            )
        )

    return files


def per_side(pattern, **more):
    """A split's files of a kind for every side that is embedded itself, as an input function."""

    def files(wildcards):
        return [
            path
            for one in embedded_sides(wildcards)
            for path in expand(
                pattern,
                dataset=wildcards.dataset,
                split=wildcards.split,
                model=one.model,
                side=one.letter,
                seen=one.seen,
                **more,
            )
        ]

    return files


def raw_files(wildcards):
    return DATASETS[wildcards.dataset].raw_files(wildcards.batch)


def batch_files(wildcards):
    """Raw names of a batch as a parameter: their paths are the rule's input, in the same order."""
    return as_json(DATASETS[wildcards.dataset].batches[wildcards.batch])


def columns_of(wildcards):
    return as_json(DATASETS[wildcards.dataset].columns)


def annotate_of(wildcards):
    return CONFIG["datasets"][wildcards.dataset]["annotate"]


def annotated_from(source):
    """The datasets whose objects come from a source."""
    return [
        name
        for name, section in CONFIG["datasets"].items()
        if section["annotate"]["from"] == source
    ]


try:
    IMPORTS = {
        name: find_imports(
            f"datasets.{name}.annotate.files",
            CONFIG["datasets"][name]["annotate"]["files"],
        )
        for name in annotated_from("import")
    }
    RESULTS = {
        (name, letter): matching_files(
            f"models.{name}.sides.{letter}.clip_benchmark", side["clip_benchmark"]
        )
        for name, model in MODELS.items()
        for letter, side in model.get("sides", {}).items()
        if side["clip_benchmark"]
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
except InputError as error:
    raise WorkflowError(str(error)) from None


def detector_files(wildcards):
    """The files of a detector that is given as a folder; nothing for one in the cache, which its name tells."""
    folder = Path(annotate_of(wildcards)["model"])
    return (
        sorted(str(file) for file in folder.iterdir() if file.is_file())
        if folder.is_dir()
        else []
    )


def measure_part(*keys):
    return as_json({key: CONFIG["measure"][key] for key in keys})


def split_benchmarks(wildcards):
    """Benchmark files of all jobs that a split is made of, in the order of the workflow.

    This is the list of stages: the table `stages` has a row for everything that is named here, and no other.
    """
    own = f"results/{wildcards.dataset}/{wildcards.split}/benchmarks"
    files = []
    for dataset in split_datasets(wildcards):
        whole = f"results/{dataset.name}/benchmarks"
        raw = [f"{index:05d}" for index in range(len(dataset.paths))]
        if "synthetic" in dataset.section:
            files += [f"{whole}/synthesize/{index}.tsv" for index in raw]
        if "coco" in dataset.section:
            files.append(f"{whole}/coco.tsv")
            files += [f"{whole}/coco_file/{index}.tsv" for index in raw]
        files += [f"{whole}/shard/{shard}.tsv" for shard in dataset.shards]
        files.append(f"{whole}/inventory.tsv")
        files += [f"{whole}/ingest/{batch}.tsv" for batch in dataset.batches]
        if dataset.name in IMPORTS:
            files += [
                f"{whole}/{stage}.tsv" for stage in ("read_imports", "match_import")
            ]
        for stage in ("annotate", "fingerprint"):
            files += [f"{whole}/{stage}/{batch}.tsv" for batch in dataset.batches]
        files.append(f"{whole}/duplicates.tsv")
    files += [
        f"results/{dataset}/benchmarks/evaluation_data.tsv"
        for dataset in drawn_datasets(CONFIG["utility"])
    ]
    files += [f"{own}/manifest/{role}.tsv" for role in ROLES]
    files.append(f"{own}/disjoint.tsv")
    sides = sides_measured(CONFIG, wildcards.split)
    trained = {
        one: f"{trainer(wildcards.split, one.model, one.letter)}/benchmarks"
        for one in trained_sides(sides)
    }
    files += sorted({f"{at}/recipe/{one.model}.tsv" for one, at in trained.items()})
    files += [f"{at}/train/{one.model}.{one.letter}.tsv" for one, at in trained.items()]
    embedded = [one for one in sides if one.own]
    checkpoints = [one for one in embedded if one.kind == "checkpoint"]
    readers = [
        one for one in sides if one.kind == "text_encoder" and one.source != BUILT_IN
    ]
    searching = [one for one in sides if one.kind != "text_encoder"]
    files += of_sides(f"{own}/describe", checkpoints)
    if QUERIES_OF_TEXT:
        files.append(f"{own}/query_texts.tsv")
    files += of_sides(f"{own}/embed", embedded, ROLES)
    files += of_sides(f"{own}/embed_captions", readers, ROLES)
    files += of_sides(f"{own}/embed_queries", embedded if OTHER_QUERIES else [])
    files += of_sides(f"{own}/neighbors", sides, POPULATIONS)
    files += of_sides(f"{own}/query_neighbors", searching if OTHER_QUERIES else [])
    measured = sorted({(one.model, one.seen) for one in sides})
    files += [
        f"{own}/score/{model}.{seen}.{population}.tsv"
        for model, seen in measured
        for population in POPULATIONS
    ]
    files += [f"{own}/population/{model}.{seen}.tsv" for model, seen in measured]
    for stage in ("utility", "attacks"):
        files += of_sides(f"{own}/{stage}", embedded)
    return files


def of_sides(folder, sides, roles=()):
    """The benchmark files of a stage that works on sides, or on roles under sides."""
    names = [f"{folder}/{one.model}.{one.letter}.{one.seen}" for one in sides]
    return (
        [f"{name}.{role}.tsv" for name in names for role in roles]
        if roles
        else [f"{name}.tsv" for name in names]
    )


def reported(split):
    """What a finished split has."""
    return expand(
        "results/{dataset}/{split}/{what}",
        dataset=CONFIG["splits"][split]["dataset"],
        split=split,
        what=["report", "summary.txt", "memorization.duckdb"],
    )


def study_folder(study):
    dataset = CONFIG["splits"][CONFIG["studies"][study]["split"]]["dataset"]
    return Path("results") / dataset / "studies" / study


def study_databases(wildcards):
    """Split: database, for the points of a study, its own split first."""
    study = CONFIG["studies"][wildcards.study]
    splits = [study["split"], *(point["split"] for point in study["points"])]
    return {
        split: f"results/{wildcards.dataset}/{split}/memorization.duckdb"
        for split in dict.fromkeys(splits)
    }


def studied(study):
    """What a finished study has."""
    return [str(study_folder(study) / what) for what in ("report", "summary.txt")]


def require_triggers():
    """Refuses a profile without the line on rerun triggers, and one that was not found, which Snakemake passes over."""
    if RerunTrigger.CODE in workflow.rerun_triggers:
        raise WorkflowError(
            "The rerun trigger `code` is on, which here would run jobs again for a touched file: the profile that was "
            "given was not found, or lacks rerun-triggers: correct its name, or copy that line of "
            "profiles/default/profile.yaml to it."
        )


def everything(wildcards):
    """What the whole configuration makes."""
    require_triggers()
    return [
        *(file for split in CONFIG["splits"] for file in reported(split)),
        *(file for study in CONFIG["studies"] for file in studied(study)),
    ]


def cancel_leftovers():
    """Ends the cluster jobs of a Snakemake that was killed, so that no two write one file."""
    if not any(file.is_file() for file in Path(".snakemake/incomplete").rglob("*")):
        return
    try:
        if ended := end_leftovers(Path.cwd()):
            logger.warning(
                f"{len(ended)} jobs that an earlier run left on the cluster were cancelled; "
                "training goes on from its last state."
            )
    except InputError as error:
        raise WorkflowError(str(error)) from None


class Failures(logging.Handler):
    """Keeps the logs of jobs that have failed, or whose group has, as long as no later attempt ends well."""

    def __init__(self):
        super().__init__()
        self.logs = {}

    def emit(self, record):
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_ERROR:
            self.logs[record.jobid] = record.log
        elif event == LogEvent.JOB_FINISHED:
            self.logs.pop(record.job_id, None)

    def print(self, most=10):
        """Ends the screen with how they end, since what a cluster says has pushed that out of sight."""
        logs = [Path(log) for several in self.logs.values() for log in several]
        for log in [log for log in logs if log.is_file()][:most]:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            print(f"{log} ends with: {lines[-1] if lines else ''}", file=sys.stderr)


FAILURES = Failures()
logger.addHandler(FAILURES)


STARTED = time.time()


def print_summaries():
    """Shows the result tables of splits and studies that this run has made, and where the reports are."""

    def is_new(summary):
        return summary.is_file() and summary.stat().st_mtime >= STARTED

    for split, section in CONFIG["splits"].items():
        folder = Path("results") / section["dataset"] / split
        summary = folder / "summary.txt"
        if is_new(summary):
            print(
                summary.read_text(encoding="utf-8")
                + f"\nReport:   {(folder / 'report' / 'index.html').resolve()}"
                + f"\nDatabase: {(folder / 'memorization.duckdb').resolve()}",
                file=sys.stderr,
            )
    for study in CONFIG["studies"]:
        summary = study_folder(study) / "summary.txt"
        if is_new(summary):
            print(
                summary.read_text(encoding="utf-8")
                + f"\nReport:   {(study_folder(study) / 'report' / 'index.html').resolve()}",
                file=sys.stderr,
            )
