from pathlib import Path

from dejavu.progress import logged
from dejavu.report.figures import draw_figures
from dejavu.report.queries import Queries

with logged(snakemake.log[0]):
    workflow = Path(snakemake.scriptdir).parent
    queries = Queries(snakemake.input[0], workflow / "sql", snakemake.resources.mem_mb // 2)
    draw_figures(queries, {k: Path(v) for k, v in snakemake.output.items()})
