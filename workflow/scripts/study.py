import json
from pathlib import Path

from dejavu.progress import logged
from dejavu.report.queries import Queries
from dejavu.report.study import gather
from dejavu.report.study_figures import draw_study
from dejavu.report.study_files import write_points, write_study, write_summary

with logged(snakemake.log[0]):
    w, p, o = snakemake.wildcards, snakemake.params, {name: Path(path) for name, path in snakemake.output.items()}
    workflow = Path(snakemake.scriptdir).parent
    # all databases are open at once
    memory_mb = snakemake.resources.mem_mb // 2 // len(p.splits)
    databases = {
        split: Queries(file, workflow / "sql", memory_mb)
        for split, file in zip(p.splits, snakemake.input.databases, strict=True)
    }
    study = gather(w.study, json.loads(p.studies), databases)
    draw_study(study, o["along"], o["tradeoff"])
    write_points(study, o["points"], o["utility"])
    write_summary(study, o["summary"])
    write_study(study, [o["along"], o["tradeoff"]], workflow / "report" / "site", o["site"], title=w.study)
