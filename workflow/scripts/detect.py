import json
from pathlib import Path

import torch

from dejavu.data.detector import detect_batch, detection_key, load_detector
from dejavu.data.raw import table_name
from dejavu.data.vocabulary import read_vocabulary
from dejavu.devices import claim, require
from dejavu.errors import words
from dejavu.progress import logged

with logged(snakemake.log[0]):
    w, p = snakemake.wildcards, snakemake.params
    title = words(f"detect {w.dataset} {w.batch}")
    claim(p.device, 1, title)
    require(p.device, 1, title)
    # The number of threads is a value of the configuration, because the low bits of a result depend on it.
    torch.set_num_threads(p.torch_threads)
    tables = [table_name(name) for name in json.loads(p.names)]
    settings = {
        key: getattr(p, key) for key in ("code", "labels", "min_score", "batch_size", "torch_threads", "device")
    }
    detect_batch(
        load_detector(p.model, read_vocabulary(p.vocabulary), device=p.device, min_score=p.min_score),
        {Path(snakemake.input.samples) / name: Path(snakemake.output[0]) / name for name in tables},
        Path(f"results/{w.dataset}/state/detector/{w.batch}"),
        key=detection_key(p.model, settings),
        batch_size=p.batch_size,
        title=title,
    )
