import json
from pathlib import Path

from dejavu.data.raw import Columns, take_inventory
from dejavu.data.reuse import Kept
from dejavu.files import write_json
from dejavu.progress import logged

with logged(snakemake.log[0]):
    paths = dict(zip(json.loads(snakemake.params.names), snakemake.input.raw, strict=True))
    columns = Columns.of(json.loads(snakemake.params.columns))
    write_json(snakemake.output[0], take_inventory(paths, columns, snakemake.params.every_caption))
    Kept(Path(snakemake.params.state), "").prune(paths)
