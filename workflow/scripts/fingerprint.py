from pathlib import Path

from dejavu.data.fingerprints import fingerprint_file
from dejavu.progress import Progress, logged

with logged(snakemake.log[0]):
    progress = Progress(f"fingerprint {snakemake.wildcards.batch}", 0, "samples")
    for samples in sorted(Path(snakemake.input[0]).glob("*.parquet")):
        fingerprint_file(samples, Path(snakemake.output[0]) / samples.name, progress)
    progress.finish()
