from pathlib import Path

from dejavu.encoders.interface import Model, Running
from dejavu.encoders.load import load_encoder
from dejavu.files import write_json
from dejavu.progress import logged

with logged(snakemake.log[0]):
    encoder = load_encoder(Model.of_job(snakemake), Running(batch_size=1))
    how = encoder.preparation
    write_json(Path(snakemake.output[0]), {"preprocessing": how.text, "is_guessed": how.is_guessed})
