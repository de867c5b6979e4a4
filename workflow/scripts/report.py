from pathlib import Path

from dejavu.progress import logged
from dejavu.report.queries import Queries
from dejavu.report.site import write_site
from dejavu.report.summary import write_summary, write_table_file
from dejavu.report.take_along import write_take_along

with logged(snakemake.log[0]):
    workflow = Path(snakemake.scriptdir).parent
    w = snakemake.wildcards
    title = f"{w.dataset} / {w.split}"
    queries = Queries(snakemake.input.database, workflow / "sql", snakemake.resources.mem_mb // 2)
    write_site(
        queries,
        [Path(file) for file in snakemake.input.figures],
        snakemake.input.samples,
        workflow / "report" / "site",
        Path(snakemake.output.site),
        title=title,
        objects=snakemake.input.objects,
    )
    write_take_along(queries, workflow, Path(snakemake.output.site) / "take-along", dataset=w.dataset, split=w.split)
    write_table_file(queries, Path(snakemake.output.table))
    write_summary(queries, Path(snakemake.output.summary), title=title)
