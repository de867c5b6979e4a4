from pathlib import Path

from dejavu.devices import claim, require
from dejavu.errors import words
from dejavu.progress import logged
from dejavu.retrieval.text import embed_captions

with logged(snakemake.log[0]):
    w, p = snakemake.wildcards, snakemake.params
    title = words(f"embed {w.split} {w.model} {w.side} {w.role}")
    claim(p.device, 1, title)
    require(p.device, 1, title)
    embed_captions(
        p.encoder,
        Path(snakemake.input.manifest),
        snakemake.input.samples,
        Path(snakemake.output.captions),
        Path(snakemake.output.rows),
        batch_size=p.batch_size,
        device=p.device,
        title=title,
    )
