import json
from pathlib import Path

from dejavu.data.duplicates import Criteria, group_duplicates
from dejavu.data.keys import require_clear_keys
from dejavu.data.quarantine import check_quarantine
from dejavu.progress import logged, say

with logged(snakemake.log[0]):
    dataset = snakemake.wildcards.dataset
    rows = sum(json.loads(Path(snakemake.input.inventory).read_text()).values())
    quarantine = [file for folder in snakemake.input.quarantine for file in sorted(Path(folder).glob("*.parquet"))]
    check_quarantine(quarantine, rows, snakemake.params.max_quarantined, dataset)
    require_clear_keys(
        snakemake.input.fingerprints,
        snakemake.input.samples,
        Path(snakemake.output.groups),
        dataset,
        snakemake.params.max_unclear_keys,
    )
    found = group_duplicates(
        snakemake.input.fingerprints,
        Path(snakemake.output.groups),
        Path(snakemake.output.duplicates),
        Criteria.of(json.loads(snakemake.params.criteria)),
    )
    say(f"[duplicates {dataset}] {found['samples']:,} samples of {rows:,} raw rows")
    say(
        f"[duplicates {dataset}] {found['groups']:,} groups; {found['repeated']:,} samples are in groups of more than "
        f"one, {found['largest']:,} in the largest"
    )
    if found["largest"] > max(100, found["samples"] // 100):
        say(
            f"[duplicates {dataset}] the largest group holds {found['largest'] / found['samples']:.0%} of the samples, "
            "which will all have one role: the report shows by which criterion, and "
            f"datasets.{dataset}.duplicates turns that off"
        )
