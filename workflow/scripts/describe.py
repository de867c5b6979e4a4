from pathlib import Path

from dejavu.digests import digests_of
from dejavu.encoders.find import find_model
from dejavu.encoders.interface import Model, Running
from dejavu.encoders.load import load_encoder
from dejavu.files import write_json
from dejavu.progress import logged

with logged(snakemake.log[0]):
    model = Model.of_job(snakemake)
    how = load_encoder(model, Running(batch_size=1)).preparation
    files = digests_of(find_model(model.source, model.architecture).weights)
    write_json(Path(snakemake.output[0]), {"preprocessing": how.text, "is_guessed": how.is_guessed, "files": files})
