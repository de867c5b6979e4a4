from pathlib import Path

from dejavu.progress import logged
from dejavu.report.share import write_share

with logged(snakemake.log[0]):
    w = snakemake.wildcards
    write_share(
        Path(snakemake.input.database),
        Path(snakemake.scriptdir).parent,
        Path(snakemake.output[0]),
        dataset=w.dataset,
        split=w.split,
        # the other half is for Python, and for what DuckDB does not count
        memory_mb=snakemake.resources.mem_mb // 2,
    )
