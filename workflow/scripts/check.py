from datetime import datetime
from pathlib import Path

from dejavu.check.page import write_page
from dejavu.check.run import check
from dejavu.errors import InputError
from dejavu.progress import logged, say

with logged(snakemake.log[0]):
    base = Path(snakemake.scriptdir).resolve().parents[1]
    p = snakemake.params
    config, page = snakemake.config, Path(p.page)
    findings = check(config, base)
    title = f"{p.config_files}, {datetime.now():%Y-%m-%d %H:%M}"
    write_page(findings, title, config["measure"]["score_threshold"], base / "workflow" / "report" / "site", page)
    say(f"The pairs that were looked at: {page.resolve()}")
    if findings.faults:
        raise InputError("the lines above name what is at fault: mend it before the run.")
