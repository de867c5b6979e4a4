from pathlib import Path

import torch

from dejavu.data.samples import RoleSamples
from dejavu.devices import claim, require
from dejavu.encoders.interface import Model, Running
from dejavu.encoders.load import load_encoder
from dejavu.errors import words
from dejavu.progress import logged
from dejavu.retrieval.embed import Arrays, embed, embed_captions
from dejavu.retrieval.precision import embed_in_bfloat16

with logged(snakemake.log[0]):
    w, p = snakemake.wildcards, snakemake.params
    title = words(f"embed {w.split} {w.model} {w.side} {w.role}")
    claim(p.device, 1, title)
    require(p.device, 1, title)
    if threads := p.get("torch_threads"):
        # a value of the recipe, because the low bits of a result depend on it
        torch.set_num_threads(threads)
    encoder = load_encoder(Model.of_job(snakemake), Running(p.batch_size, p.device))
    role = RoleSamples(Path(snakemake.input.manifest), snakemake.input.samples)
    images, captions, rows = (snakemake.output.get(name) for name in ("images", "captions", "rows"))
    if p.get("precision") == "bf16":
        embed_in_bfloat16(encoder, role, title, encoder if images else None)
    if images is None:
        embed_captions(encoder, role, Path(captions), Path(rows), title)
    else:
        # queries search the images of the public role, or its captions where that is asked for; nothing reads the other
        has_captions = w.role != "public" or p.get("captions", False)
        arrays = Arrays(Path(images), Path(captions), Path(rows))
        embed(encoder, role, arrays, title, has_captions, workers=max(0, snakemake.threads - threads))
