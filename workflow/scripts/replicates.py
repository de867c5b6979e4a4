import json
from pathlib import Path

from dejavu.errors import words
from dejavu.measurement.groups import Drawing, is_by_chance
from dejavu.measurement.replicate_pool import ReplicateFiles
from dejavu.measurement.replicates import Options, summarize_replicates
from dejavu.progress import logged
from dejavu.tables.fields import POPULATIONS, SIDES

with logged(snakemake.log[0]):
    w, files = snakemake.wildcards, snakemake.input
    measure, cell = json.loads(snakemake.params.measure), json.loads(snakemake.params.cell)
    drawings = [Drawing(**drawn) for drawn in json.loads(snakemake.params.drawings).values()]

    def by_name(kind, names, number):
        paths = {name: files.get(f"{kind}_{name}") or [] for name in names}
        return {name: Path(of[number]) for name, of in paths.items() if of}

    summarize_replicates(
        [
            ReplicateFiles(
                manifests=by_name("manifest", SIDES, number),
                scores=by_name("scores", POPULATIONS, number),
                attacks=by_name("attacks", SIDES, number),
            )
            for number in range(len(files.manifest_a))
        ],
        Path(files.holdout),
        {name: Path(path) for name, path in snakemake.output.items()},
        Options(
            cell=(cell["k"], str(cell["labels"])),
            draws=measure["bootstrap"],
            seed=measure["seed"],
            rate=measure["discovery_rate"],
            by_chance=is_by_chance(drawings),
        ),
        title=words(f"replicates {w.split} {w.model}"),
    )
