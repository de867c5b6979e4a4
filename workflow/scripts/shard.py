from pathlib import Path

from dejavu.data.shards import link_tar, write_shard
from dejavu.progress import logged, say

with logged(snakemake.log[0]):
    p, tar = snakemake.params, Path(snakemake.input[0])
    link_tar(tar, Path(snakemake.output.tar))
    keys = write_shard(tar, Path(snakemake.output.table), p.caption, p.objects)
    say(f"[shard {snakemake.wildcards.dataset} {tar.name}] {keys:,} keys")
