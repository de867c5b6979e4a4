from pathlib import Path

from dejavu.data.imported import match_import
from dejavu.progress import logged

with logged(snakemake.log[0]):
    match_import(
        Path(snakemake.input.imported),
        snakemake.input.samples,
        Path(snakemake.output[0]),
        snakemake.wildcards.dataset,
        snakemake.params.every_caption,
    )
