import json
from pathlib import Path

from dejavu.progress import logged
from dejavu.studies.attacks import write_attacks

with logged(snakemake.log[0]):
    measure = json.loads(snakemake.params.measure)
    write_attacks(
        Path(snakemake.input.member_images),
        Path(snakemake.input.member_captions),
        Path(snakemake.input.other_images),
        Path(snakemake.input.other_captions),
        Path(snakemake.output[0]),
        draws=measure["bootstrap"],
        seed=measure["seed"],
    )
