import json
from pathlib import Path

from dejavu.files import write_json
from dejavu.progress import logged
from dejavu.training.pretrained import load_side

with logged(snakemake.log[0]):
    w, p = snakemake.wildcards, snakemake.params
    architecture = snakemake.input.architecture or p.architecture
    clip = load_side(
        str(snakemake.input.weights or ""),
        w.seen,
        p.source,
        str(architecture) if architecture else None,
        preprocessing=json.loads(p.preprocessing),
    )
    found = {"preprocessing": clip.prepared, "is_guessed": clip.is_guessed}
    write_json(Path(snakemake.output[0]), found)
