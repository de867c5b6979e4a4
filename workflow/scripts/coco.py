from pathlib import Path

from dejavu.data.coco import write_coco
from dejavu.progress import logged, say

with logged(snakemake.log[0]):
    instances = snakemake.input.get("instances")
    images = write_coco(
        Path(snakemake.input.captions), None if instances is None else Path(instances), Path(snakemake.output[0])
    )
    say(f"[coco {snakemake.wildcards.dataset}] {images:,} images")
