# Needs:  the configuration and the datasets' files
# Makes:  input functions: the files that a job reads, asked by wildcards; where files lie is in dejavu.paths

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
    """What a step of a dataset's form reads."""
    return lambda w: step.inputs(DATASETS[w.dataset].form, w)


def folders(kind, *roles):
    """Batch folders of a table, as an input function: of the datasets of the given roles, or of the whole split.

    Roles are named, or given as the wildcard that holds one.
    """

    def found(wildcards):
        names = [getattr(wildcards, role, role) for role in roles]
        datasets = (
            [DATASETS[role_dataset(wildcards, name)] for name in names]
            if names
            else split_datasets(wildcards)
        )
        return list(
            dict.fromkeys(
                folder for dataset in datasets for folder in dataset.folders(kind)
            )
        )

    return found


def query_duplicates(wildcards):
    """The duplicate groups of the datasets that query roles come from."""
    names = [role_dataset(wildcards, role) for role in POPULATIONS]
    return [at(DUPLICATES, dataset=name) for name in dict.fromkeys(names)]


def detector_files(wildcards):
    """The files of a detector that is given as a folder; nothing for one in the cache, which its name tells."""
    folder = Path(annotate_of(wildcards)["model"])
    return (
        sorted(str(file) for file in folder.iterdir() if file.is_file())
        if folder.is_dir()
        else []
    )


def architecture_file(wildcards):
    """The architecture's JSON file as an input, nothing for a name that OpenCLIP knows."""
    # None for a text encoder (embed_captions runs instead) and for a folder with its own config
    name = built_from(wildcards)["architecture"]
    path = None if name is None else architecture_path(name, BASE)
    return [] if path is None else str(path)


@cache
def trainer(split, model, letter):
    """The split that trains a side, which may be another one with the same training set.

    Asked once: while a job writes its output anew, what was there is gone.
    """
    return trained_in(CONFIG, split, model, letter)


def trained_file(pattern, split, model, letter):
    """A file of the split that trains a side, or a folder."""
    name = trainer(split, model, letter)
    return at(pattern, dataset=CONFIG["splits"][name]["dataset"], split=name)


def weights(wildcards):
    """Where a side's weights are: the folder that training makes, a file or folder, or nothing for what is cached."""
    if side(wildcards).kind == "trained":
        model, letter = wildcards.model, wildcards.side
        pattern = at(CHECKPOINTS, model=model, side=letter)
        return trained_file(pattern, wildcards.split, model, letter)
    return Checkpoint.of(side(wildcards).source).weights or []


def in_split(pattern, wildcards, **values):
    """A file of the split that a job is about."""
    return at(pattern, dataset=wildcards.dataset, split=wildcards.split, **values)


def embedding(wildcards, letter, role, kind):
    """The embedding array of a role under a side, which another model's side may have made."""
    one = side_of(MODELS, wildcards.model, letter, int(wildcards.seen))
    model, seen = one.embedded
    names = {"model": model, "side": letter, "seen": seen, "role": role, "kind": kind}
    return in_split(EMBEDDING, wildcards, **names)


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


def attacked_embeddings(wildcards):
    """Embeddings of all query roles under a side, and under the other side where that has images too."""
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
    """The neighbour tables of a population under a side, by query.

    A text encoder is asked with the caption whatever the model is asked with: it knows what captions tell, at its best.
    """

    def found(wildcards):
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

    return found


def other_neighbors(wildcards):
    """A split's neighbour tables of all queries but captions."""
    return [
        in_split(
            QUERY_NEIGHBORS,
            wildcards,
            model=one.model,
            side=one.letter,
            seen=one.seen,
            population=population,
            query=query,
        )
        for one in sides_measured(CONFIG, wildcards.split)
        if one.has_images
        for population in POPULATIONS
        for query in OTHER_QUERIES
    ]


def training_tables(wildcards):
    """What training has noted, of every side that is trained here."""
    return [
        trained_file(
            at(TRAINING, model=one.model, side=one.letter),
            wildcards.split,
            one.model,
            one.letter,
        )
        for one in trained_sides(sides_measured(CONFIG, wildcards.split))
    ]


def clip_benchmark_results(wildcards):
    """The results that clip-benchmark has written of a checkpoint."""
    return CLIP_BENCHMARK.get((wildcards.model, wildcards.side), [])


def described_checkpoints(wildcards):
    """What is known of the checkpoints from elsewhere that a split measures."""
    return [
        in_split(
            CHECKPOINT_NOTES,
            wildcards,
            model=one.model,
            side=one.letter,
            seen=one.seen,
        )
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
