from pathlib import Path

from dejavu.progress import logged
from dejavu.studies.utility import write_utility

with logged(snakemake.log[0]):
    write_utility(Path(snakemake.input.images), Path(snakemake.input.captions), Path(snakemake.output[0]))
