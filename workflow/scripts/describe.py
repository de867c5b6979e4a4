from pathlib import Path

from dejavu.files import write_json
from dejavu.progress import logged
from dejavu.training.pretrained import load_of_job

with logged(snakemake.log[0]):
    w, p = snakemake.wildcards, snakemake.params
    clip = load_of_job(snakemake.input, p, w.seen)
    found = {"preprocessing": clip.prepared, "is_guessed": clip.is_guessed}
    write_json(Path(snakemake.output[0]), found)
