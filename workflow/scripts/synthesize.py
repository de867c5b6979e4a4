import json
from pathlib import Path

import pyarrow as pa

from dejavu.data.synthetic import file_bounds, make_pairs, make_world, raw_schema
from dejavu.files import write_table
from dejavu.progress import Progress, logged

with logged(snakemake.log[0]):
    section = json.loads(snakemake.params.synthetic)
    start, stop = file_bounds(section["pairs"], section["files"], int(snakemake.wildcards.index))
    world, captions = make_world(section["seed"]), section["captions"]
    schema = raw_schema(captions)
    progress = Progress(f"synthesize {snakemake.wildcards.index}", stop - start, "pairs")

    def parts():
        for first in range(start, stop, 256):
            last = min(first + 256, stop)
            yield pa.Table.from_pylist(list(make_pairs(world, first, last, captions=captions)), schema=schema)
            progress.advance(last - first)

    write_table(Path(snakemake.output[0]), parts(), schema)
    progress.finish()
