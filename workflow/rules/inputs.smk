# Needs:  the configuration and the datasets' files
# Makes:  input functions, which return the files that a job reads for its wildcards; dejavu.paths has all paths

from dejavu.checkpoints import Checkpoint
from dejavu.config.architectures import architecture_path
from dejavu.paths import (
    CHECKPOINT_NOTES,
    CHECKPOINTS,
    DUPLICATES,
    EMBEDDING,
    NEIGHBORS,
    QUERY_NEIGHBORS,
    TRAINING,
    at,
)
from dejavu.roles import trained_in
from dejavu.sides import sides_measured, trained_sides


def raw_files(wildcards):
    return DATASETS[wildcards.dataset].raw_files(wildcards.batch)


def form_inputs(step):
    """Return an input function for the files that a step of a dataset's form reads."""
    return lambda w: step.inputs(DATASETS[w.dataset].form, w)


def folders(kind, *roles):
    """Return an input function for the folders of a table, one for each batch of files.

    The folders are those of the datasets of the given roles, or without roles of all datasets of the split. A role is a
    name, or the name of a wildcard whose value is a role.
    """

    def paths(wildcards):
        names = [getattr(wildcards, role, role) for role in roles]
        datasets = (
            [DATASETS[role_dataset(wildcards, name)] for name in names]
            if names
            else split_datasets(wildcards)
        )
        return list(
            dict.fromkeys(
                folder
                for dataset in datasets
                if kind != "objects" or dataset.has_objects
                for folder in dataset.folders(kind)
            )
        )

    return paths


def query_duplicates(wildcards):
    """Return the files of duplicate groups, of the datasets that the query roles come from."""
    names = [role_dataset(wildcards, role) for role in POPULATIONS]
    return [at(DUPLICATES, dataset=name) for name in dict.fromkeys(names)]


def detector_files(wildcards):
    """Return the files of a detector in a folder; no files for a detector in the cache, which its name identifies."""
    folder = Path(annotate_of(wildcards)["model"])
    return (
        sorted(str(file) for file in folder.iterdir() if file.is_file())
        if folder.is_dir()
        else []
    )


def architecture_file(wildcards):
    """Return the JSON file of a side's architecture; no file for a name that OpenCLIP knows."""
    # The name is None for a text encoder, and for a folder with its own configuration.
    name = built_from(wildcards)["architecture"]
    path = None if name is None else architecture_path(name, BASE)
    return [] if path is None else str(path)


@cache
def trainer(split, model, letter):
    """Return the split that trains a side; it may be another split with the same training set.

    The answer is cached for the whole run: it depends on which trainings exist, and Snakemake removes the old output of
    a training when its job starts.
    """
    return trained_in(CONFIG, split, model, letter)


def trained_file(pattern, split, model, letter):
    """Return the path of a file or folder in the split that trains a side."""
    name = trainer(split, model, letter)
    return at(pattern, dataset=CONFIG["splits"][name]["dataset"], split=name)


def weights(wildcards):
    """Return the weights of a side: the folder of its training, a file or folder of the user, or nothing if cached."""
    if side(wildcards).kind == "trained":
        model, letter = wildcards.model, wildcards.side
        pattern = at(CHECKPOINTS, model=model, side=letter)
        return trained_file(pattern, wildcards.split, model, letter)
    return Checkpoint.of(side(wildcards).source).weights or []


def in_split(pattern, wildcards, **values):
    """Return the path of a file in the split of a job."""
    return at(pattern, dataset=wildcards.dataset, split=wildcards.split, **values)


def embedding(wildcards, letter, role, kind):
    """Return the embedding array of a role under a side; models with a common side share its arrays."""
    embedder = side_of(MODELS, wildcards.model, letter, int(wildcards.seen))
    model, seen = embedder.embedded
    names = {"model": model, "side": letter, "seen": seen, "role": role, "kind": kind}
    return in_split(EMBEDDING, wildcards, **names)


def query_embeddings(wildcards):
    """Return the embeddings of all queries except captions, and of the public images that they search, under a side."""
    arrays = {
        f"{role}_{query}": embedding(wildcards, wildcards.side, role, query)
        for role in POPULATIONS
        for query in OTHER_QUERIES
    }
    arrays |= {
        f"{role}_rows": embedding(wildcards, wildcards.side, role, "rows")
        for role in POPULATIONS
    }
    return arrays | {
        "public": embedding(wildcards, wildcards.side, "public", "images"),
        "public_rows": embedding(wildcards, wildcards.side, "public", "rows"),
    }


def attacked_embeddings(wildcards):
    """Return the embeddings of all query roles under a side, and under the other side if it also embeds images."""
    sides = {"own": wildcards.side, "other": "b" if wildcards.side == "a" else "a"}
    if not side_of(MODELS, wildcards.model, sides["other"]).has_images:
        del sides["other"]
    return {
        f"{which}_{role}_{kind}": embedding(wildcards, letter, role, kind)
        for which, letter in sides.items()
        for role in POPULATIONS
        for kind in ("images", "captions", "rows")
    }


def query_neighbors(letter):
    """Return an input function for the neighbour tables of a population under a side, in the order of the queries.

    A text encoder always searches with the caption, whatever the query of side a: it is the reference for everything
    that captions reveal.
    """

    def tables(wildcards):
        reads_only = not side_of(MODELS, wildcards.model, letter).has_images
        names = {
            "model": wildcards.model,
            "side": letter,
            "seen": wildcards.seen,
            "population": wildcards.population,
        }
        return [
            (
                in_split(NEIGHBORS, wildcards, **names)
                if query == CAPTION or reads_only
                else in_split(QUERY_NEIGHBORS, wildcards, **names, query=query)
            )
            for query in ASKED
        ]

    return tables


def other_neighbors(wildcards):
    """Return a split's neighbour tables of all queries except captions."""
    return [
        in_split(
            QUERY_NEIGHBORS,
            wildcards,
            model=measured.model,
            side=measured.letter,
            seen=measured.seen,
            population=population,
            query=query,
        )
        for measured in sides_measured(CONFIG, wildcards.split)
        if measured.has_images
        for population in POPULATIONS
        for query in OTHER_QUERIES
    ]


def training_tables(wildcards):
    """Return the metrics tables of all trainings whose sides a split measures."""
    return [
        trained_file(
            at(TRAINING, model=trained.model, side=trained.letter),
            wildcards.split,
            trained.model,
            trained.letter,
        )
        for trained in trained_sides(sides_measured(CONFIG, wildcards.split))
    ]


def clip_benchmark_results(wildcards):
    """Return the result files of clip-benchmark for a checkpoint."""
    return CLIP_BENCHMARK.get((wildcards.model, wildcards.side), [])


def described_checkpoints(wildcards):
    """Return the descriptions of all checkpoints that a split measures and this workflow did not train."""
    return [
        in_split(
            CHECKPOINT_NOTES,
            wildcards,
            model=measured.model,
            side=measured.letter,
            seen=measured.seen,
        )
        for measured in sides_measured(CONFIG, wildcards.split)
        if measured.kind == "checkpoint"
    ]


def embedded_sides(wildcards):
    """Return the sides of a split with embeddings of their own, and so with utility and attacks of their own."""
    return [
        measured for measured in sides_measured(CONFIG, wildcards.split) if measured.own
    ]


def per_model(pattern, **more):
    """Return an input function for a split's files of one kind, for every measured checkpoint of every model."""

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
    """Return an input function for a split's files of one kind, for every side with images, once per set of weights."""

    def files(wildcards):
        sides = [
            measured
            for measured in sides_measured(CONFIG, wildcards.split)
            if measured.has_images
        ]
        return list(
            dict.fromkeys(
                path
                for measured in sides
                for path in expand(
                    pattern,
                    dataset=wildcards.dataset,
                    split=wildcards.split,
                    model=measured.embedded[0],
                    side=measured.letter,
                    seen=measured.embedded[1],
                    **more,
                )
            )
        )

    return files


def per_side(pattern, **more):
    """Return an input function for a split's files of one kind, for every side with embeddings of its own."""

    def files(wildcards):
        return [
            path
            for embedded in embedded_sides(wildcards)
            for path in expand(
                pattern,
                dataset=wildcards.dataset,
                split=wildcards.split,
                model=embedded.model,
                side=embedded.letter,
                seen=embedded.seen,
                **more,
            )
        ]

    return files
