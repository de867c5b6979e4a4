import json
from pathlib import Path

from dejavu.data.annotate import annotate_file
from dejavu.data.raw import Columns, table_name
from dejavu.progress import Progress, logged

with logged(snakemake.log[0]):
    progress = Progress(f"annotate {snakemake.wildcards.batch}", 0, "rows")
    columns = Columns.of(json.loads(snakemake.params.columns))
    for name, path in zip(json.loads(snakemake.params.names), snakemake.input.raw, strict=True):
        samples = Path(snakemake.input.samples) / table_name(name)
        annotate_file(Path(path), columns, samples, Path(snakemake.output[0]) / table_name(name), progress)
    progress.finish()
