import json
from pathlib import Path

from dejavu.data.ingest import Ingested, Ingestion, RawFile, ingest_changed
from dejavu.data.raw import Columns, table_name, take_inventory
from dejavu.data.reuse import Kept
from dejavu.progress import Progress, logged

with logged(snakemake.log[0]):
    params = snakemake.params
    paths = dict(zip(json.loads(params.names), snakemake.input.raw, strict=True))
    columns, how = Columns.of(json.loads(params.columns)), Ingestion(**json.loads(params.how))
    pairs = take_inventory(paths, columns, how.captions == "all")
    progress = Progress(f"ingest {snakemake.wildcards.batch}", sum(pairs.values()), "pairs")
    kept = Kept(Path(params.state), params.code + params.columns + params.how)
    for name, path in paths.items():
        samples = Path(snakemake.output.samples) / table_name(name)
        quarantine = Path(snakemake.output.quarantine) / table_name(name)
        ingest_changed(kept, RawFile(Path(path), name, columns), Ingested(samples, quarantine), progress, how)
    progress.finish()
