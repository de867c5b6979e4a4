from pathlib import Path

from dejavu.progress import logged
from dejavu.retrieval.text import embed_captions

with logged(snakemake.log[0]):
    w, p = snakemake.wildcards, snakemake.params
    embed_captions(
        p.encoder,
        Path(snakemake.input.manifest),
        snakemake.input.samples,
        Path(snakemake.output.captions),
        Path(snakemake.output.rows),
        batch_size=p.batch_size,
        device=p.device,
        title=f"embed {w.split} {w.model} {w.side} {w.role}",
    )
