import json
from itertools import islice
from pathlib import Path

import pyarrow as pa

from dejavu.data.evaluation import draw_compositional, draw_labelled
from dejavu.data.synthetic import make_world
from dejavu.files import write_table
from dejavu.progress import logged
from dejavu.tables.evaluation import COMPOSITIONAL, LABELLED

with logged(snakemake.log[0]):
    p, output = snakemake.params, snakemake.output
    world, drawn = make_world(p.seed), json.loads(p.drawn)

    def parts(records, schema):
        while chunk := list(islice(records, 256)):
            yield pa.Table.from_pylist(chunk, schema=schema)

    for name in ("train", "test"):
        write_table(Path(output[name]), parts(draw_labelled(world, name, drawn[name]), LABELLED), LABELLED)
    tests = draw_compositional(world, drawn["compositional"])
    write_table(Path(output.compositional), parts(tests, COMPOSITIONAL), COMPOSITIONAL)
