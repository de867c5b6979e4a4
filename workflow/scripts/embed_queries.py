import json
from functools import cache
from pathlib import Path

import torch

from dejavu.data.kept_arrays import KeptArrays
from dejavu.data.samples import RoleSamples
from dejavu.devices import claim, require
from dejavu.encoders.identity import identity
from dejavu.encoders.interface import Model, Running
from dejavu.encoders.load import load_encoder
from dejavu.errors import words
from dejavu.paths import KEPT_EMBEDDING, MANIFEST, at
from dejavu.progress import logged, say
from dejavu.retrieval.precision import embed_in_bfloat16
from dejavu.retrieval.queries import Masking, embed_queries, text_digests
from dejavu.tables.fields import POPULATIONS
from dejavu.tables.queries import MASKED

with logged(snakemake.log[0]):
    w, p = snakemake.wildcards, snakemake.params
    title = words(f"embed queries {w.split} {w.model} {w.side}")
    claim(p.device, 1, title)
    require(p.device, 1, title)
    # The number of threads is a value of the recipe, because the low bits of a result depend on it.
    torch.set_num_threads(p.torch_threads)
    model = Model.of_job(snakemake)

    @cache
    def encoder():
        loaded = load_encoder(model, Running(p.batch_size, p.device))
        if p.get("precision") == "bf16":
            manifest = Path(snakemake.input[f"manifest_{POPULATIONS[0]}"])
            embed_in_bfloat16(loaded, RoleSamples(manifest, snakemake.input.samples), title)
        return loaded

    texts = snakemake.input.get("texts")
    texts = Path(texts) if texts else None
    # of a query, whichever others are asked
    parameters = {name: value for name, value in p.items() if name != "queries"}
    weights = cache(lambda: identity(model))
    folder = at(KEPT_EMBEDDING, dataset=w.dataset, split=w.split, model=w.model, side=w.side, seen=w.seen)
    for query in p.queries:
        for name in POPULATIONS:
            manifest = snakemake.input[f"manifest_{name}"]
            role = RoleSamples(Path(manifest), snakemake.input.samples)
            # as for the role's captions, see embed.py
            is_limited = manifest != at(MANIFEST, dataset=w.dataset, split=w.split, role=name)
            settings = {"parameters": parameters, "model": weights()} if is_limited and weights() else None

            def make(part, arrays, name=name, query=query):
                masked = Masking(**json.loads(p.masking))
                embed_queries(encoder(), {name: part}, texts, {(name, query): arrays[query]}, masked, title)

            kept = KeptArrays(Path(at(folder, name=f"{name}.{query}")), settings)
            asked = None if query == MASKED else text_digests(texts, query, role.rows())
            new = kept.fill(role, {query: Path(snakemake.output[f"{name}_{query}"])}, make, asked)
            if (number := len(role.rows())) > new:
                say(f"[{title}] {query}: {number - new:,} of {number:,} samples of {name} were embedded before")
