from pathlib import Path

from dejavu.data.import_files import read_imports
from dejavu.progress import Progress, logged

with logged(snakemake.log[0]):
    progress = Progress(f"import {snakemake.wildcards.dataset}", 0, "objects")
    read_imports(snakemake.input.files, Path(snakemake.output[0]), progress)
    progress.finish()
