import json
from pathlib import Path

from dejavu.data.disjoint import check_disjoint
from dejavu.data.duplicates import Criteria
from dejavu.data.split import manifest_counts
from dejavu.files import write_json
from dejavu.progress import logged, say

with logged(snakemake.log[0]):
    manifests = {role: Path(file) for role, file in snakemake.input.items() if role != "fingerprints"}
    criteria, datasets = json.loads(snakemake.params.criteria), json.loads(snakemake.params.datasets)
    check_disjoint(manifests, snakemake.input.fingerprints, Criteria.of(criteria), datasets)
    write_json(snakemake.output[0], {role: manifest_counts(path)["rows_out"] for role, path in manifests.items()})
    say(f"[disjoint {snakemake.wildcards.split}] no two roles share anything")
