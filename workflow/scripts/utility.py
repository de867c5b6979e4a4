import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from dejavu.data.benchmarks import find_benchmarks
from dejavu.data.results import read_results
from dejavu.devices import claim, require
from dejavu.errors import require_same_rows, words
from dejavu.files import read_array, read_table, write_table
from dejavu.measurement.resampling import Resampling, draw_tables
from dejavu.progress import logged
from dejavu.tables.evaluation import UTILITY, UTILITY_DRAWS
from dejavu.utility.retrieval import retrieval

with logged(snakemake.log[0]):
    w, p = snakemake.wildcards, snakemake.params
    title = words(f"utility {w.split} {w.model} {w.side}")
    manifest = read_table(snakemake.input.manifest, ["row", "group_id"]).sort_by("row")
    require_same_rows(read_array(snakemake.input.rows), manifest["row"].to_numpy(), title)
    groups = np.unique(manifest["group_id"].to_pylist(), return_inverse=True)[1]
    resampling = Resampling(p.bootstrap, p.seed)
    rows = retrieval(read_array(snakemake.input.images), read_array(snakemake.input.captions), groups, resampling)
    rows += read_results(snakemake.input.results, p.architecture)
    benchmarks = find_benchmarks(json.loads(p.benchmarks))
    if benchmarks:
        # Import PyTorch and OpenCLIP only where benchmarks need them: the import takes seconds.
        import torch

        from dejavu.encoders.interface import Model, Running
        from dejavu.encoders.load import load_encoder
        from dejavu.utility.encode import Encoder
        from dejavu.utility.evaluate import evaluate

        claim(p.device, 1, title)
        require(p.device, 1, title)
        torch.set_num_threads(p.torch_threads)
        model = load_encoder(Model.of_job(snakemake), Running(p.batch_size, p.device))
        rows += evaluate(Encoder(model, title), benchmarks, resampling)
    write_table(Path(snakemake.output.utility), pa.Table.from_pylist(rows, schema=UTILITY), UTILITY)
    write_table(Path(snakemake.output.draws), draw_tables(rows), UTILITY_DRAWS)
