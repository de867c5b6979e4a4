from pathlib import Path

from dejavu.data.split import write_manifest
from dejavu.progress import logged, say

with logged(snakemake.log[0]):
    count = write_manifest(
        Path(snakemake.input.groups),
        snakemake.input.samples,
        Path(snakemake.output[0]),
        split=snakemake.wildcards.split,
        role=snakemake.wildcards.role,
        seed=snakemake.params.seed,
        interval=(snakemake.params.low, snakemake.params.high),
        limit=snakemake.params.limit,
    )
    say(f"[manifest {snakemake.wildcards.split} {snakemake.wildcards.role}] {count:,} samples")
