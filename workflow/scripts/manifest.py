import json
from pathlib import Path

from dejavu.data.members import MemberList
from dejavu.data.split import Role, write_manifest
from dejavu.progress import logged, say

with logged(snakemake.log[0]):
    w, p = snakemake.wildcards, snakemake.params
    interval = json.loads(p.interval)
    count = write_manifest(
        Path(snakemake.input.groups),
        snakemake.input.samples,
        Path(snakemake.output[0]),
        role=Role(
            split=w.split,
            name=w.role,
            interval=None if interval is None else tuple(interval),
            limit=p.limit,
            stratify=p.stratify == "source",
            deduplicate=p.deduplicate,
            lists={
                name: MemberList(f"splits.{w.split}.roles.{name}", Path(file), **how)
                for (name, how), file in zip(json.loads(p.listed).items(), snakemake.input.lists, strict=True)
            },
        ),
        seed=p.seed,
    )
    say(f"[manifest {w.split} {w.role}] {count:,} samples")
