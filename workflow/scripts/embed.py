from pathlib import Path

import torch

from dejavu.progress import logged
from dejavu.retrieval.embed import embed
from dejavu.training.model import load_checkpoint
from dejavu.training.pretrained import load_pretrained

with logged(snakemake.log[0]):
    w, p = snakemake.wildcards, snakemake.params
    # a value of the recipe, because the low bits of a result depend on it
    torch.set_num_threads(p.torch_threads)
    architecture = str(snakemake.input.architecture or p.architecture)
    if p.trained:
        clip = load_checkpoint(Path(snakemake.input.weights) / f"{w.seen}.pt", architecture, p.device)
    else:
        clip = load_pretrained(str(snakemake.input.weights or p.source), architecture, p.device)
    embed(
        clip,
        Path(snakemake.input.manifest),
        snakemake.input.samples,
        Path(snakemake.output.images),
        Path(snakemake.output.captions),
        Path(snakemake.output.rows),
        batch_size=p.batch_size,
        device=p.device,
        title=f"embed {w.split} {w.model} {w.side} {w.role}",
    )
