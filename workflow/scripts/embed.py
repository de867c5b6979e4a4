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
from dejavu.files import write_array
from dejavu.paths import KEPT_EMBEDDING, MANIFEST, at
from dejavu.progress import logged, say
from dejavu.retrieval.embed import Arrays, embed, embed_captions
from dejavu.retrieval.precision import embed_in_bfloat16

with logged(snakemake.log[0]):
    w, p = snakemake.wildcards, snakemake.params
    title = words(f"embed {w.split} {w.model} {w.side} {w.role}")
    claim(p.device, 1, title)
    require(p.device, 1, title)
    if threads := p.get("torch_threads"):
        # The number of threads is a value of the recipe, because the low bits of a result depend on it.
        torch.set_num_threads(threads)
    model = Model.of_job(snakemake)
    role = RoleSamples(Path(snakemake.input.manifest), snakemake.input.samples)
    outputs = {name: Path(path) for name, path in snakemake.output.items()}
    rows = outputs.pop("rows")

    @cache
    def encoder():
        loaded = load_encoder(model, Running(p.batch_size, p.device))
        if p.get("precision") == "bf16":
            embed_in_bfloat16(loaded, role, title, loaded if "images" in outputs else None)
        return loaded

    def make(part, arrays):
        if "images" not in arrays:
            embed_captions(encoder(), part, arrays["captions"], rows, title)
            return
        # Queries search the images of the public role, or its captions where the configuration says so.
        has_captions = w.role != "public" or p.get("captions", False)
        workers = max(0, snakemake.threads - threads)
        embed(encoder(), part, Arrays(arrays["images"], arrays["captions"], rows), title, has_captions, workers)

    # Only a role that measure.query_limit may limit has a manifest of its own for queries, and keeps its arrays. After
    # another change of a role's samples all are embedded, so that the last bits are those of a run from scratch.
    whole = at(MANIFEST, dataset=w.dataset, split=w.split, role=w.role)
    weights = identity(model) if snakemake.input.manifest != whole else None
    settings = None if weights is None else {"parameters": dict(p), "model": weights}
    folder = at(KEPT_EMBEDDING, dataset=w.dataset, split=w.split, model=w.model, side=w.side, seen=w.seen, name=w.role)
    new = KeptArrays(Path(folder), settings).fill(role, outputs, make)
    number = len(role.rows())
    write_array(rows, role.rows())
    if new < number:
        say(f"[{title}] {number - new:,} of {number:,} samples were embedded before")
