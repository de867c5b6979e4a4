import json
from pathlib import Path

from dejavu.data.ingest import ingest_file
from dejavu.data.raw import Columns, table_name
from dejavu.progress import Progress, logged

with logged(snakemake.log[0]):
    names = json.loads(snakemake.params.names)
    rows = json.loads(Path(snakemake.input.inventory).read_text())
    progress = Progress(f"ingest {snakemake.wildcards.batch}", sum(rows.get(name, 0) for name in names), "rows")
    columns = Columns.of(json.loads(snakemake.params.columns))
    for name, path in zip(names, snakemake.input.raw, strict=True):
        samples = Path(snakemake.output.samples) / table_name(name)
        quarantine = Path(snakemake.output.quarantine) / table_name(name)
        ingest_file(Path(path), name, columns, samples, quarantine, progress)
    progress.finish()
