import json
from pathlib import Path

from dejavu.data.imported import import_objects
from dejavu.data.raw import table_name
from dejavu.progress import Progress, logged

with logged(snakemake.log[0]):
    progress = Progress(f"annotate {snakemake.wildcards.batch}", 0, "samples")
    tables = [table_name(name) for name in json.loads(snakemake.params.names)]
    samples = [Path(snakemake.input.samples) / name for name in tables]
    objects = [Path(snakemake.output[0]) / name for name in tables]
    import_objects(Path(snakemake.input.imported), samples, objects, progress, snakemake.params.every_caption)
    progress.finish()
