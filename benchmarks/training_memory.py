"""Memory of training: the largest resident memory with 200,000 samples against that with 20,000 samples."""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from benchmarks.timing import Result
from dejavu.files import write_json, write_table
from dejavu.progress import Progress
from dejavu.tables import MANIFEST, SAMPLES
from dejavu.training.job import Job
from dejavu.training.loop import train
from dejavu.training.recipe import Recipe

SAMPLES_TRAINED_ON = (20_000, 200_000)
ROWS_PER_FILE = 10_000
# Rows of a row group; ingest writes as many at once.
ROWS_PER_PART = 512
IMAGES = 500
SIDE = 64
STEPS = 400
BATCH = 128
BUFFER = 2_000
TOLERANCE = 1.1
ARCHITECTURE = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def measure() -> list[Result]:
    """Return the peak memory of trainings on both training sets; every step runs in a process of its own."""
    peaks = []
    for number in SAMPLES_TRAINED_ON:
        with tempfile.TemporaryDirectory() as folder:
            for step in ("make", "train"):
                command = [sys.executable, "-m", "benchmarks.training_memory", step, folder, str(number)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        peaks.append(json.loads(done.stdout))
    few, many = peaks
    note = f"{TOLERANCE} times that of {SAMPLES_TRAINED_ON[0]:,} samples"
    return [Result.of_costs("training_memory", many, TOLERANCE * few, "GiB", note)]


def make(folder: Path, number: int) -> None:
    """Write the samples, the manifest and the architecture of a training with ``number`` samples."""
    images = _images()
    progress = Progress("training_memory: samples", number, "samples")
    rows = []
    for file in range(number // ROWS_PER_FILE):
        rows.append((file + 1 << 32) + np.arange(ROWS_PER_FILE))
        write_table(folder / "samples" / f"{file + 1:08x}.parquet", _parts(rows[-1], images, progress), SAMPLES)
    every = np.concatenate(rows)
    text = pa.array(every).cast(pa.string())
    columns = {"row": every, "uid": text, "group_id": text, "position": np.zeros(len(every))}
    write_table(folder / "manifest.parquet", pa.table(columns, schema=MANIFEST), MANIFEST)
    write_json(folder / "memory.json", ARCHITECTURE)
    progress.finish()


def _images() -> list[bytes]:
    rng = np.random.default_rng(0)
    encoded = []
    for pixels in rng.integers(0, 256, (IMAGES, SIDE, SIDE, 3), dtype=np.uint8):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format="JPEG", quality=90)
        encoded.append(buffer.getvalue())
    return encoded


def _parts(rows: np.ndarray, images: list[bytes], progress: Progress) -> Iterator[pa.Table]:
    for start in range(0, len(rows), ROWS_PER_PART):
        part = rows[start : start + ROWS_PER_PART].tolist()
        records = [
            {"row": row, "uid": str(row), "caption": f"thing number {row}", "image": images[row % IMAGES]}
            for row in part
        ]
        yield pa.Table.from_pylist(records, schema=SAMPLES)
        progress.advance(len(part))


def train_once(folder: Path, number: int) -> float:
    """Train for :data:`STEPS` steps, and return the largest resident memory of this process in GiB."""
    title = f"training_memory: {number:,} samples"
    manifest, samples = str(folder / "manifest.parquet"), [str(folder / "samples")]
    job = Job(_recipe(folder), "a", manifest, samples, "cpu", title, workers=2)
    train(job, folder / "state", "", folder / "checkpoints", folder / "metrics.parquet")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def _recipe(folder: Path) -> Recipe:
    return Recipe(
        architecture=str(folder / "memory.json"),
        samples_seen=STEPS * BATCH,
        batch_size=BATCH,
        learning_rate=1e-3,
        weight_decay=0.1,
        beta1=0.9,
        beta2=0.98,
        epsilon=1e-6,
        warmup=0.1,
        text_mask=0.3,
        precision="fp32",
        torch_threads=1,
        shuffle_buffer=BUFFER,
        seed=0,
    )


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        print(train_once(Path(sys.argv[2]), int(sys.argv[3])))
