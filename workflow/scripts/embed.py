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
from dejavu.paths import KEPT_EMBEDDING, at
from dejavu.progress import logged, say
from dejavu.retrieval.embed import Arrays, embed, embed_captions
from dejavu.tables.fields import POPULATIONS

with logged(snakemake.log[0]):
    w, p = snakemake.wildcards, snakemake.params
    title = words(f"embed {w.split} {w.model} {w.side} {w.role}")
    claim(p.device, 1, title)
    require(p.device, 1, title)
    if threads := p.get("torch_threads"):
        # The number of threads is a value of the recipe, because the low bits of a result depend on it.
        torch.set_num_threads(threads)
    model = Model.of_job(snakemake)
    encoder = cache(lambda: load_encoder(model, Running(p.batch_size, p.device)))
    role = RoleSamples(Path(snakemake.input.manifest), snakemake.input.samples)
    outputs = {name: Path(path) for name, path in snakemake.output.items()}
    rows = outputs.pop("rows")

    def make(part, arrays):
        if "images" in arrays:
            embed(encoder(), part, Arrays(arrays["images"], arrays["captions"], rows), title)
        else:
            embed_captions(encoder(), part, arrays["captions"], rows, title)

    # of query roles, whose samples change with measure.query_limit; what is searched may be as large as the disk
    weights = identity(model) if w.role in POPULATIONS else None
    settings = None if weights is None else {"parameters": dict(p), "model": weights}
    folder = at(KEPT_EMBEDDING, dataset=w.dataset, split=w.split, model=w.model, side=w.side, seen=w.seen, name=w.role)
    new = KeptArrays(Path(folder), settings).fill(role, outputs, make)
    number = len(role.rows())
    write_array(rows, role.rows())
    if new < number:
        say(f"[{title}] {number - new:,} of {number:,} samples were embedded before")
