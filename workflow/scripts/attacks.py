import json
from pathlib import Path

from dejavu.measurement.attacks import Embeddings, write_attacks
from dejavu.progress import logged
from dejavu.tables.fields import POPULATIONS

with logged(snakemake.log[0]):
    measure, cell = json.loads(snakemake.params.measure), json.loads(snakemake.params.cell)
    given = snakemake.input

    def embeddings(which):
        return {
            role: Embeddings.read(*(Path(given[f"{which}_{role}_{kind}"]) for kind in ("images", "captions", "rows")))
            for role in POPULATIONS
        }

    write_attacks(
        embeddings("own"),
        embeddings("other") if hasattr(given, "other_a_images") else None,
        {role: Path(given[f"manifest_{role}"]) for role in POPULATIONS},
        {role: Path(given[f"scores_{role}"]) for role in POPULATIONS},
        Path(snakemake.output.attacks),
        Path(snakemake.output.sample_attacks),
        letter=snakemake.wildcards.side,
        cell=(cell["k"], str(cell["labels"])),
        draws=measure["bootstrap"],
        seed=measure["seed"],
        duplicates=[Path(path) for path in given.duplicates],
        listed=any(drawn["listed"] for drawn in json.loads(snakemake.params.drawings).values()),
    )
