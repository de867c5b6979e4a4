from pathlib import Path

from dejavu.data.asked import write_asked
from dejavu.progress import logged, say

with logged(snakemake.log[0]):
    w = snakemake.wildcards
    asked, samples = write_asked(Path(snakemake.input[0]), Path(snakemake.output[0]), snakemake.params.limit)
    say(f"[query manifest {w.split} {w.role}] {asked:,} of {samples:,} samples are asked about")
