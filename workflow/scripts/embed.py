from pathlib import Path

import torch

from dejavu.devices import claim, require
from dejavu.errors import words
from dejavu.progress import logged
from dejavu.retrieval.embed import embed
from dejavu.training.pretrained import load_of_job

with logged(snakemake.log[0]):
    w, p = snakemake.wildcards, snakemake.params
    title = words(f"embed {w.split} {w.model} {w.side} {w.role}")
    claim(p.device, 1, title)
    require(p.device, 1, title)
    # a value of the recipe, because the low bits of a result depend on it
    torch.set_num_threads(p.torch_threads)
    clip = load_of_job(snakemake.input, p, w.seen, p.device)
    embed(
        clip,
        Path(snakemake.input.manifest),
        snakemake.input.samples,
        Path(snakemake.output.images),
        Path(snakemake.output.captions),
        Path(snakemake.output.rows),
        batch_size=p.batch_size,
        device=p.device,
        title=title,
    )
