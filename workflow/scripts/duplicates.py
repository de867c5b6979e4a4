import json
from pathlib import Path

from dejavu.data.duplicates import group_duplicates
from dejavu.data.ingest import check_quarantine
from dejavu.progress import logged, say

with logged(snakemake.log[0]):
    dataset = snakemake.wildcards.dataset
    rows = sum(json.loads(Path(snakemake.input.inventory).read_text()).values())
    quarantine = [file for folder in snakemake.input.quarantine for file in sorted(Path(folder).glob("*.parquet"))]
    check_quarantine(quarantine, rows, snakemake.params.max_quarantined, dataset)
    count = group_duplicates(snakemake.input.fingerprints, Path(snakemake.output[0]))
    say(f"[duplicates {dataset}] {count:,} samples of {rows:,} raw rows")
