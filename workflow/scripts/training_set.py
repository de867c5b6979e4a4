from pathlib import Path

from dejavu.data.training_set import write_training_set
from dejavu.progress import logged, say

with logged(snakemake.log[0]):
    w = snakemake.wildcards
    count = write_training_set([Path(path) for path in snakemake.input], Path(snakemake.output[0]))
    say(f"[training set {w.split} {w.side}] {count:,} samples")
