from pathlib import Path

from dejavu.data.replicate import write_replicate
from dejavu.progress import logged, say

with logged(snakemake.log[0]):
    w, p = snakemake.wildcards, snakemake.params
    count = write_replicate(
        [Path(path) for path in snakemake.input.pool],
        Path(snakemake.output[0]),
        role=w.role,
        split=w.split,
        seed=p.seed,
        replicate=p.number,
    )
    say(f"[manifest {w.split} {w.role}] {count:,} samples")
