import json
from pathlib import Path

import torch

from dejavu.data.samples import RoleSamples
from dejavu.devices import claim, require
from dejavu.encoders.interface import Model, Running
from dejavu.encoders.load import load_encoder
from dejavu.errors import words
from dejavu.progress import logged
from dejavu.retrieval.precision import embed_in_bfloat16
from dejavu.retrieval.queries import Masking, embed_queries
from dejavu.tables.fields import POPULATIONS

with logged(snakemake.log[0]):
    w, p = snakemake.wildcards, snakemake.params
    title = words(f"embed queries {w.split} {w.model} {w.side}")
    claim(p.device, 1, title)
    require(p.device, 1, title)
    # a value of the recipe, because the low bits of a result depend on it
    torch.set_num_threads(p.torch_threads)
    encoder = load_encoder(Model.of_job(snakemake), Running(p.batch_size, p.device))
    texts = snakemake.input.get("texts")
    roles = {
        name: RoleSamples(Path(snakemake.input[f"manifest_{name}"]), snakemake.input.samples) for name in POPULATIONS
    }
    if p.get("precision") == "bf16":
        embed_in_bfloat16(encoder, roles[POPULATIONS[0]], title)
    embed_queries(
        encoder,
        roles,
        Path(texts) if texts else None,
        {(name, query): Path(snakemake.output[f"{name}_{query}"]) for name in POPULATIONS for query in p.queries},
        Masking(**json.loads(p.masking)),
        title,
    )
