import json
from pathlib import Path

from dejavu.database.run import Run
from dejavu.database.write import write_database
from dejavu.progress import logged, say

with logged(snakemake.log[0]):
    w, p = snakemake.wildcards, snakemake.params
    run = Run(
        split_folder=Path("results") / w.dataset / w.split,
        batches=json.loads(p.batches),
        inventory={Path(file).parent.name: json.loads(Path(file).read_text()) for file in snakemake.input.inventory},
        training=[Path(file) for file in snakemake.input.training],
        benchmarks=[Path(file) for file in snakemake.input.benchmarks],
        config=snakemake.config,
    )
    write_database(run, Path(snakemake.scriptdir).parent / "sql", Path(snakemake.output[0]))
    say(f"[database {w.split}] {Path(snakemake.output[0]).stat().st_size / 1e6:.1f} MB")
