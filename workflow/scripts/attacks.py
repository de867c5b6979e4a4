import json
from pathlib import Path

from dejavu.measurement.attacks import Attacked, write_attacks
from dejavu.measurement.groups import Drawing, QueryRoles
from dejavu.measurement.pairs import Embeddings
from dejavu.processes import give_back_freed_arrays
from dejavu.progress import logged
from dejavu.tables.fields import POPULATIONS

with logged(snakemake.log[0]):
    give_back_freed_arrays()
    measure, cell = json.loads(snakemake.params.measure), json.loads(snakemake.params.cell)
    inputs = snakemake.input

    def embeddings(which):
        return {
            role: Embeddings.read(*(Path(inputs[f"{which}_{role}_{kind}"]) for kind in ("images", "captions", "rows")))
            for role in POPULATIONS
        }

    roles = QueryRoles(
        scores={role: Path(inputs[f"scores_{role}"]) for role in POPULATIONS},
        manifests={role: Path(inputs[f"manifest_{role}"]) for role in POPULATIONS},
        drawings={role: Drawing(**drawn) for role, drawn in json.loads(snakemake.params.drawings).items()},
        duplicates=[Path(path) for path in inputs.duplicates],
    )
    write_attacks(
        embeddings("own"),
        embeddings("other") if hasattr(inputs, "other_a_images") else None,
        roles,
        {name: Path(path) for name, path in snakemake.output.items()},
        Attacked(
            letter=snakemake.wildcards.side,
            cell=(cell["k"], str(cell["labels"])),
            draws=measure["bootstrap"],
            seed=measure["seed"],
        ),
    )
