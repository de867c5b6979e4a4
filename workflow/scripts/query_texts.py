import json
from pathlib import Path

from dejavu.errors import words
from dejavu.measurement.options import Measure
from dejavu.measurement.query_texts import write_query_texts
from dejavu.progress import logged

with logged(snakemake.log[0]):
    write_query_texts(
        [Path(path) for path in snakemake.input.manifests],
        snakemake.input.samples,
        snakemake.input.objects,
        Path(snakemake.output[0]),
        measure=Measure(k=(), labels=(), **json.loads(snakemake.params.measure)),
        title=words(f"query texts {snakemake.wildcards.split}"),
    )
