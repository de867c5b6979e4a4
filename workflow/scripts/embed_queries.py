import json
from pathlib import Path

import torch

from dejavu.devices import claim, require
from dejavu.errors import words
from dejavu.progress import logged
from dejavu.retrieval.queries import Masking, embed_queries
from dejavu.tables.fields import POPULATIONS
from dejavu.training.pretrained import load_of_job

with logged(snakemake.log[0]):
    w, p = snakemake.wildcards, snakemake.params
    title = words(f"embed queries {w.split} {w.model} {w.side}")
    claim(p.device, 1, title)
    require(p.device, 1, title)
    # a value of the recipe, because the low bits of a result depend on it
    torch.set_num_threads(p.torch_threads)
    clip = load_of_job(snakemake.input, p, w.seen, p.device)
    texts = snakemake.input.get("texts")
    embed_queries(
        clip,
        {name: Path(snakemake.input[f"manifest_{name}"]) for name in POPULATIONS},
        snakemake.input.samples,
        Path(texts) if texts else None,
        {(name, query): Path(snakemake.output[f"{name}_{query}"]) for name in POPULATIONS for query in p.queries},
        masking=Masking(**json.loads(p.masking)),
        batch_size=p.batch_size,
        device=p.device,
        title=title,
    )
