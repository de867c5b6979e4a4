import json
from pathlib import Path

from dejavu.database.run import Run
from dejavu.database.write import Target, write_database
from dejavu.progress import logged, say
from dejavu.tables.fields import POPULATIONS

with logged(snakemake.log[0]):
    w, p = snakemake.wildcards, snakemake.params
    asked = zip(POPULATIONS, snakemake.input.asked, strict=True)
    run = Run(
        dataset=w.dataset,
        split=w.split,
        batches=json.loads(p.batches),
        inventory={Path(file).parent.name: json.loads(Path(file).read_text()) for file in snakemake.input.inventory},
        asked={role: Path(path) for role, path in asked},
        training_sets=[Path(file) for file in snakemake.input.training_sets],
        training=[Path(file) for file in snakemake.input.training],
        benchmarks=[Path(file) for file in snakemake.input.benchmarks],
        config=snakemake.config,
    )
    database, beside = Path(snakemake.output.database), Path(snakemake.output.beside)
    # the other half is for Python, and for what DuckDB does not count
    write_database(
        run, Path(snakemake.scriptdir).parent / "sql", Target(database, beside, snakemake.resources.mem_mb // 2)
    )
    files = [database, *(path for path in beside.rglob("*.parquet"))]
    say(f"[database {w.split}] {sum(file.stat().st_size for file in files) / 1e6:.1f} MB in {len(files):,} files")
