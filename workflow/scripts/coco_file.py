from pathlib import Path

from dejavu.data.coco import write_coco_file
from dejavu.progress import logged

with logged(snakemake.log[0]):
    write_coco_file(
        Path(snakemake.input[0]), snakemake.params.files, int(snakemake.wildcards.index), Path(snakemake.output[0])
    )
