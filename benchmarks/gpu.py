"""What a GPU is made to do: training, embedding and searching, as shares of what the card can do, and beside peers.

``PYTHONPATH=src python -m benchmarks.gpu`` prints a table and writes it to ``results/gpu.md`` and ``results/gpu.json``,
after each part, so that what was measured stays. ``--device cpu --tiny`` goes through all of it in a minute on a CPU,
which says that it runs and nothing else.

Floating-point operations are counted from the architecture, two for a multiplication with an addition, of the forward
pass: a transformer's layer of width w over s tokens takes 24·s·w² (projections and a feed-forward of four times the
width) + 4·s²·w (attention); besides there are the patches' and the last projection. A training step counts three
forward passes, whatever is computed twice; the loss and the optimiser count nothing. ViT-B-32 takes 14.8 GFLOP for a
pair, of which 6.0 for 77 tokens of text.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

# what training sets, which has to be there before CUDA starts
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from benchmarks.gpu_search import measure_search
from benchmarks.gpu_table import TINY, Bench, Measured, Sizes
from benchmarks.peers import Batch, OpenClipTraining
from dejavu.data.images import decode_rgb
from dejavu.data.samples import RoleSamples
from dejavu.encoders.interface import Running
from dejavu.encoders.openclip import ClipEncoder
from dejavu.files import read_array
from dejavu.progress import say
from dejavu.retrieval.embed import Arrays, embed
from dejavu.tables import MANIFEST, SAMPLES
from dejavu.training.job import Job
from dejavu.training.loop import train
from dejavu.training.model import Clip, build
from dejavu.training.ranks import Ranks
from dejavu.training.recipe import Recipe
from dejavu.training.step import Learner

SENTENCE = "a photo of two dogs that play with an old red ball on the beach near some boats"
WORDS = SENTENCE.split(" ")


# what the card can do


def measure_card(bench: Bench) -> None:
    """Products of square matrices of random numbers, in bfloat16 and in float32 without TF32."""
    size, count = bench.sizes.product, 10 * bench.sizes.repeats
    for kind, name in ((torch.bfloat16, "bf16"), (torch.float32, "fp32")):
        one, other = (torch.randn(size, size, device=bench.device).to(kind) for _ in range(2))
        bench.seconds(partial(_multiply, one, other, 3))
        bench.peaks[kind] = 2 * size**3 * count / bench.seconds(partial(_multiply, one, other, count))
        what = f"product of two {size:,} × {size:,} matrices, {name}"
        note = f"this is the peak of what is {name} below"
        bench.note(Measured(what, bench.peaks[kind] / 1e12, "TFLOP/s", note=note))


def _multiply(one: torch.Tensor, other: torch.Tensor, times: int) -> None:
    for _ in range(times):
        one @ other


def tower_flops(config: Mapping[str, Any], images: bool, tokens: int | None = None) -> float:
    """Operations of a tower's forward pass for one image or caption; see the module's docstring.

    Args:
        config: an architecture of OpenCLIP's, with a vision transformer and a text transformer.
        images: of the image tower, or else of the text tower.
        tokens: of a caption; None: the whole context.
    """
    part = config["vision_cfg" if images else "text_cfg"]
    width, layers = part["width"], part["layers"]
    if images:
        patches = (part["image_size"] // part["patch_size"]) ** 2
        length, ends = patches + 1, 2 * patches * 3 * part["patch_size"] ** 2 * width
    else:
        length, ends = tokens or part["context_length"], 0
    return layers * (24 * length * width**2 + 4 * length**2 * width) + ends + 2 * width * config["embed_dim"]


# training


def measure_training(bench: Bench) -> None:
    """Steps on batches that lie ready on the device: images, and tokens of the whole context."""
    sizes = bench.sizes
    for batch, precision, theirs in (
        (sizes.batch, "bf16", "amp_bf16"),
        (sizes.accumulated, "bf16", "amp_bf16"),
        # what float32 keeps of more does not fit
        (sizes.batch // 4, "fp32", "fp32"),
    ):
        parts = max(1, batch // sizes.batch)
        _measure_step(bench, _recipe(sizes, batch, precision=precision, accumulation=parts), theirs)


def _recipe(sizes: Sizes, batch: int, **how: Any) -> Recipe:
    rest = {"learning_rate": 1e-4, "weight_decay": 0.2, "warmup": 0.0, "torch_threads": 1}
    return Recipe(sizes.architecture, samples_seen=1000 * batch, batch_size=batch, **rest, **how)


def _measure_step(bench: Bench, recipe: Recipe, theirs: str) -> None:
    batch = _batch(bench, recipe)
    config, steps = build(recipe.architecture).config, _steps(bench, recipe)
    flops = 3 * (tower_flops(config, images=True) + tower_flops(config, images=False))
    peak = bench.peaks[torch.bfloat16 if recipe.precision == "bf16" else torch.float32]
    rates: dict[str, float | None] = {}
    for name, reproducible in (("ours", True), ("ours, in any order", False), ("peer", False)):
        with _deterministic(reproducible):
            make = (
                (lambda: _theirs(bench, recipe, theirs, batch))
                if name == "peer"
                else (lambda: _ours(bench, recipe, batch))
            )
            rates[name] = _rate(bench, make, recipe.batch_size * steps)
    parts = "" if recipe.accumulation == 1 else f" in {recipe.accumulation} parts"
    what = f"training, {recipe.precision}, batch {recipe.batch_size:,}{parts}"
    for name, more in (("ours", ""), ("ours, in any order", ", sums in any order")):
        if (ours := rates[name]) is None:
            say(f"[gpu] {what}{more} does not fit")
            continue
        peer = rates["peer"]
        shares = [None if rate is None else rate * flops / peak for rate in (ours, peer)]
        note = f"open_clip_train, {theirs}" + ("" if peer is not None else ", which does not fit")
        bench.note(Measured(what + more, ours, "pairs/s", shares[0], peer, shares[1], note))


def _steps(bench: Bench, recipe: Recipe) -> int:
    """Fewer of those that take long."""
    return bench.sizes.steps if recipe.precision == "bf16" and recipe.accumulation == 1 else 2


def _rate(bench: Bench, make: Callable[[], Callable[[], Any]], samples: int) -> float | None:
    """Samples a second of what a function makes, once that is warm; None where it does not fit the device."""
    try:
        run = make()
        run()
        return samples / bench.seconds(run, 2)
    except torch.OutOfMemoryError:
        return None
    finally:
        run = None  # type: ignore[assignment]
        if bench.device == "cuda":
            torch.cuda.empty_cache()


def _batch(bench: Bench, recipe: Recipe) -> Batch:
    clip = build(recipe.architecture)
    generator = torch.Generator(bench.device).manual_seed(0)
    shape = (recipe.batch_size, 3, clip.size, clip.size)
    # words until the context is full, so that nothing of it is cut
    captions = [" ".join(WORDS * 10)] * recipe.batch_size
    return torch.randn(shape, generator=generator, device=bench.device), clip.tokenizer(captions).to(bench.device)


def _ours(bench: Bench, recipe: Recipe, batch: Batch) -> Callable[[], None]:
    torch.manual_seed(recipe.seed)
    learner = Learner(build(recipe.architecture, bench.device), recipe, Ranks(device=bench.device))

    def run() -> None:
        for step in range(_steps(bench, recipe)):
            # as training does: the result of a step is looked at before the next begins
            learner.step(*batch, recipe.learning_rate_at(step)).tolist()

    return run


def _theirs(bench: Bench, recipe: Recipe, precision: str, batch: Batch) -> Callable[[], None]:
    training = OpenClipTraining(recipe, bench.device, precision)
    return lambda: training.run([batch] * _steps(bench, recipe))


@contextmanager
def _deterministic(wanted: bool) -> Iterator[None]:
    torch.use_deterministic_algorithms(wanted)
    torch.utils.deterministic.fill_uninitialized_memory = False
    yield
    torch.use_deterministic_algorithms(False)


# from encoded images


@contextmanager
def _data(sizes: Sizes) -> Iterator[tuple[Path, Path, Path]]:
    """A folder, and in it samples with JPEG images of 256 × 256 pixels, and their manifest."""
    with tempfile.TemporaryDirectory() as made:
        folder, rng = Path(made), np.random.default_rng(0)
        (folder / "samples").mkdir()
        # a few different ones, since noise takes long to encode and gradients decode as photographs do
        images = [_encoded(rng) for _ in range(16)]
        rows = np.arange(sizes.images, dtype=np.int64)
        captions = [" ".join(rng.permutation(WORDS)[: rng.integers(8, len(WORDS))]) for _ in rows]
        content = [
            {"row": int(row), "uid": str(row), "caption": caption, "image": images[row % 16]}
            for row, caption in zip(rows, captions, strict=True)
        ]
        pq.write_table(pa.Table.from_pylist(content, schema=SAMPLES), folder / "samples" / f"{0:08x}.parquet")
        listed = [{"row": int(row), "uid": str(row), "group_id": str(row), "position": 0.5} for row in rows]
        pq.write_table(pa.Table.from_pylist(listed, schema=MANIFEST), folder / "manifest.parquet")
        yield folder, folder / "samples", folder / "manifest.parquet"


def _encoded(rng: np.random.Generator) -> bytes:
    pixels = Image.fromarray(rng.integers(0, 256, size=(16, 16, 3), dtype=np.uint8)).resize(
        (256, 256), Image.Resampling.BICUBIC
    )
    buffer = io.BytesIO()
    pixels.save(buffer, format="JPEG", quality=90)
    return buffer.getvalue()


def measure_decoded(bench: Bench) -> None:
    """Training and embedding as jobs do them, from encoded images; images are cropped at random, so decoded anew."""
    sizes, workers = bench.sizes, max(1, (os.cpu_count() or 2) - 2)
    with _data(sizes) as (folder, samples, manifest):
        how = {"crop_scale": (0.5, 1.0), "precision": "bf16", "text_mask": 0.3}
        recipe = _recipe(sizes, sizes.batch, **how)
        recipe = Recipe(**(asdict(recipe) | {"samples_seen": 12 * sizes.batch}))
        outputs = folder / "checkpoints", folder / "metrics.parquet"
        job = Job(recipe, "a", str(manifest), [str(samples)], bench.device, "train", state_seconds=1e9, workers=workers)
        train(job, folder / "state", "c", *outputs)
        torch.use_deterministic_algorithms(False)
        # the first steps load libraries and choose among them
        lines = pq.read_table(outputs[1]).to_pylist()[4:]
        rate = len(lines) / sum(1 / line["samples_per_second"] for line in lines)
        waited = np.mean([line["data_wait"] for line in lines])
        note = f"{workers} workers; {waited:.0%} of the time is waited for images"
        bench.note(
            Measured(f"training a side from JPEG images, bf16, batch {sizes.batch:,}", rate, "pairs/s", note=note)
        )
        files = [folder / f"{name}.npy" for name in ("images", "captions", "rows")]
        role = RoleSamples(manifest, [samples])
        for precision in ("fp32", "bf16"):
            encoder = ClipEncoder(_ready(bench), Running(min(256, sizes.images), bench.device))
            if precision == "bf16":
                encoder.halve()
            run = partial(embed, encoder, role, Arrays(*files), "embed", workers=workers)
            run()
            rate = sizes.images / bench.seconds(run, 2)
            note = f"images and captions; {workers} processes decode and tokenize, begun anew each time"
            bench.note(Measured(f"embedding a role from JPEG images, {precision}", rate, "pairs/s", note=note))
        clip = encoder.clip
        one = pq.read_table(samples, columns=["image"])["image"][0].as_py()
        seconds = bench.seconds(lambda: [clip.pixels(decode_rgb(one)) for _ in range(64)]) / 64
        bench.note(Measured("decoding alone, one thread", 1 / seconds, "images/s"))
        assert np.isfinite(read_array(files[0])).all()


# embedding


def _ready(bench: Bench) -> Clip:
    torch.manual_seed(0)
    clip = build(bench.sizes.architecture, bench.device)
    clip.model.eval()
    return clip


def measure_embedding(bench: Bench) -> None:
    """Pixels and captions in memory to embeddings in memory, as jobs make them; the peer has tensors ready."""
    for precision in ("fp32", "bf16"):
        clip = _ready(bench)
        encoder = ClipEncoder(clip, Running(min(256, bench.sizes.embedded), bench.device))
        if precision == "bf16":
            encoder.halve()
        with torch.inference_mode():
            _measure_encoder(bench, encoder, precision)


def _measure_encoder(bench: Bench, encoder: ClipEncoder, precision: str) -> None:
    clip, sizes, batch = encoder.clip, bench.sizes, encoder.at_once
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, size=(batch, clip.size, clip.size, 3), dtype=np.uint8)
    captions = [" ".join(rng.permutation(WORDS)[: rng.integers(8, len(WORDS))]) for _ in range(sizes.embedded)]
    images, tokens = clip.normalize(pixels, bench.device).to(kind), clip.tokenizer(captions)
    ready = tokens.to(bench.device)
    times = range(sizes.embedded // batch)
    functions = {
        "images": (
            lambda: [encoder.encode(pixels) for _ in times],
            lambda: [clip.model.encode_image(images, normalize=True) for _ in times],
            "OpenCLIP with tensors ready",
        ),
        "captions of 8 to 17 words": (
            lambda: encoder.texts(captions),
            lambda: [clip.model.encode_text(part, normalize=True) for part in ready.split(batch)],
            "OpenCLIP with all 77 tokens ready; ours tokenizes",
        ),
        "captions, tokens ready": (
            lambda: encoder.tokens(tokens),
            lambda: [clip.model.encode_text(part, normalize=True) for part in ready.split(batch)],
            "OpenCLIP with all 77 tokens ready",
        ),
    }
    flops = {"images": tower_flops(clip.config, images=True)}
    for what, (ours, peer, note) in functions.items():
        rates = []
        for function in (ours, peer):
            function()
            rates.append(batch * len(times) / bench.seconds(function, sizes.repeats))
        shares = [rate * flops[what] / bench.peaks[kind] if what in flops else None for rate in rates]
        unit = f"{what.split()[0].rstrip(',')}/s"
        bench.note(Measured(f"embedding {what}, {precision}", rates[0], unit, shares[0], rates[1], shares[1], note))


PARTS = {
    "search": measure_search,
    "embedding": measure_embedding,
    "training": measure_training,
    "decoded": measure_decoded,
}


def main(arguments: Sequence[str]) -> None:
    """Measures the parts that are named, or all."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; none: all")
    parser.add_argument("--folder", type=Path, default=Path("results"), help="where gpu.md and gpu.json go")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--look", action="store_true", help="only say whether there is a GPU")
    given = parser.parse_args(arguments)
    if unknown := sorted(set(given.parts) - set(PARTS)):
        raise SystemExit(f"no part is called {', '.join(unknown)}; there are: {', '.join(PARTS)}")
    if given.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "a GPU is needed, and PyTorch sees none here: run this on a machine with an NVIDIA GPU, with a PyTorch "
            "that was built for it (docs/reference/scaling.md, GPU)"
        )
    if given.look:
        return
    bench = Bench(given.device, TINY if given.tiny else Sizes(), given.folder)
    started = time.perf_counter()
    measure_card(bench)
    for name in given.parts or PARTS:
        PARTS[name](bench)
        say(f"[gpu] {name} done after {time.perf_counter() - started:.0f} s")
    print(bench.table())


if __name__ == "__main__":
    main(sys.argv[1:])
