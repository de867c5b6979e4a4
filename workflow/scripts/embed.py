from pathlib import Path

import torch

from dejavu.data.samples import RoleSamples
from dejavu.devices import claim, require
from dejavu.encoders.interface import Model, Running
from dejavu.encoders.load import load_encoder
from dejavu.errors import words
from dejavu.progress import logged
from dejavu.retrieval.embed import Arrays, embed, embed_captions

with logged(snakemake.log[0]):
    w, p = snakemake.wildcards, snakemake.params
    title = words(f"embed {w.split} {w.model} {w.side} {w.role}")
    claim(p.device, 1, title)
    require(p.device, 1, title)
    if threads := p.get("torch_threads"):
        # The number of threads is a value of the recipe, because the low bits of a result depend on it.
        torch.set_num_threads(threads)
    encoder = load_encoder(Model.of_job(snakemake), Running(p.batch_size, p.device))
    role = RoleSamples(Path(snakemake.input.manifest), snakemake.input.samples)
    captions, rows = Path(snakemake.output.captions), Path(snakemake.output.rows)
    images = snakemake.output.get("images")
    if images is None:
        embed_captions(encoder, role, captions, rows, title)
    else:
        embed(encoder, role, Arrays(Path(images), captions, rows), title)
