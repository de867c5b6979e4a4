from pathlib import Path

from dejavu.progress import logged
from dejavu.retrieval.embed import embed

with logged(snakemake.log[0]):
    w, p = snakemake.wildcards, snakemake.params
    embed(
        Path(snakemake.input.checkpoints) / f"{w.seen}.pt",
        str(snakemake.input.architecture or p.architecture),
        Path(snakemake.input.manifest),
        snakemake.input.samples,
        Path(snakemake.output.images),
        Path(snakemake.output.captions),
        Path(snakemake.output.rows),
        batch_size=p.batch_size,
        torch_threads=p.torch_threads,
        device=p.device,
        title=f"embed {w.split} {w.model} {w.side} {w.role}",
    )
