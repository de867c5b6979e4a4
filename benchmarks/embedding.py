"""Embedding with ViT-B-32 against a plain OpenCLIP loop, on one and on two cores, from JPEG images and from captions.

The plain loop computes in float32, decodes in the thread that runs the model, through OpenCLIP's own transform, and
embeds all 77 tokens. Ours runs as jobs do, from a table of samples to an array; where the CPU has units for bfloat16
also with weights in bfloat16. Weights are random, images are gradients of 256 pixels, captions have 8 to 17 words. What
both make of the same samples is compared.

``PYTHONPATH=src:. python -m benchmarks.embedding`` runs this file alone, prints a table and writes
``results/embedding.json``; it needs PyTorch, torchvision, open_clip_torch and pyarrow. ``--bf16`` times bfloat16
also where there are no units, and ``--tiny`` only shows that it runs.
"""

from __future__ import annotations

import dataclasses
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from benchmarks.timing import Result, best_seconds
from dejavu.data.samples import RoleSamples
from dejavu.encoders.interface import Running
from dejavu.encoders.openclip import ClipEncoder
from dejavu.files import read_array, write_json
from dejavu.progress import say
from dejavu.retrieval.embed import Arrays, embed
from dejavu.tables import MANIFEST, SAMPLES
from dejavu.training.model import Clip, build
from dejavu.training.openclip import open_clip

SENTENCE = "a photo of two dogs that play with an old red ball on the beach near some boats"
BFLOAT16_UNITS = {"amx_bf16", "avx512_bf16", "sve_bf16", "bf16"}
FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8", "bf16", "sve_bf16")
LEAST_COSINE = {torch.float32: 0.99999, torch.bfloat16: 0.999}


@dataclass(frozen=True)
class Sizes:
    """How much is measured: the peer embeds fewer captions, since it takes longer for each."""

    architecture: str = "ViT-B-32"
    images: int = 96
    captions: int = 512
    peer_captions: int = 64
    batch: int = 64
    rounds: int = 3
    rows: int = 1600


Embed = Callable[[], np.ndarray]
Functions = dict[str, Embed]
TINY = Sizes("config/architectures/tiny.json", 8, 16, 8, 4, 1, 16)


def measure(sizes: Sizes = Sizes(), halved: bool = False) -> list[Result]:
    """Times ours and the plain loop in turn, on as many of two cores as there are; bfloat16 where it has units."""
    flags = cpu_flags()
    halved = halved or bool(BFLOAT16_UNITS & flags)
    known = [flag for flag in FLAGS if flag in flags]
    say(f"[embedding] flags of this CPU: {' '.join(known) or 'none that is known here'}; PyTorch {torch.__version__}")
    if not halved:
        say("[embedding] it has no bfloat16 units, so bfloat16 is not timed")
    before, results = torch.get_num_threads(), []
    try:
        with _samples(sizes) as folder:
            for cores in range(1, min(2, os.cpu_count() or 1) + 1):
                torch.set_num_threads(cores)
                results += _Bench(sizes, folder, cores, halved).results()
    finally:
        torch.set_num_threads(before)
    return results


class _Bench:
    """One number of cores: models of the same weights, and what is compared with them."""

    def __init__(self, sizes: Sizes, folder: Path, cores: int, halved: bool) -> None:
        self.sizes, self.folder, self.cores = sizes, folder, "1 core" if cores == 1 else f"{cores} cores"
        # a process that decodes takes a core from the model, or what it leaves of one
        self.workers = (0,) if cores == 1 else (0, 1)
        self.plain = _model(sizes)
        self.encoders = {"ours": ClipEncoder(_model(sizes), Running(sizes.batch))}
        if halved:
            self.encoders["ours, bf16"] = ClipEncoder(_model(sizes), Running(sizes.batch))
            self.encoders["ours, bf16"].halve()
        self.pairs = pq.read_table(folder / "samples").sort_by("row").to_pylist()
        self.products = {kind: _product(sizes.rows, kind) for kind in LEAST_COSINE if halved or kind == torch.float32}
        for kind, speed in self.products.items():
            say(f"[embedding] a product in {kind} on {self.cores}: {speed / 1e9:,.0f} GFLOP/s")

    def results(self) -> Iterator[Result]:
        ours: Functions = {}
        for name, encoder in self.encoders.items():
            for number in self.workers:
                ours[f"{name}, {number} workers"] = partial(self._our_images, encoder, number)
        yield from self._compared("embed_images", ours, self._their_images, (self.sizes.images, self.sizes.images))
        ours = {name: partial(self._our_captions, encoder) for name, encoder in self.encoders.items()}
        counts = (self.sizes.captions, self.sizes.peer_captions)
        yield from self._compared("embed_captions", ours, self._their_captions, counts)

    def _compared(self, name: str, ours: Functions, peer: Embed, counts: tuple[int, int]) -> Iterator[Result]:
        """Yields a line for each of ours; ``counts``: how many ours embeds, and the peer."""
        # the first round warms them up, since the best counts
        seconds, found = best_seconds(f"{name}, {self.cores}", {**ours, "peer": peer}, self.sizes.rounds)
        rate = counts[1] / seconds["peer"]
        unit = f"{name.removeprefix('embed_')}/s"
        for how in ours:
            kind = torch.bfloat16 if "bf16" in how else torch.float32
            _require_same(found[how], found["peer"], kind, f"{name}, {how}")
            mine = counts[0] / seconds[how]
            share = ""
            if name == "embed_images" and self.sizes.architecture == "ViT-B-32":
                # 8.8 GFLOP an image, counted as in benchmarks.gpu
                share = f", {mine * 8.8e9 / self.products[kind]:.0%} of the product's speed"
            yield Result.of_rates(name, mine, rate, unit, f"plain OpenCLIP, fp32, {self.cores}; {how}{share}")

    def _our_images(self, encoder: ClipEncoder, workers: int) -> np.ndarray:
        arrays = Arrays(*(self.folder / f"{name}.npy" for name in ("images", "captions", "rows")))
        role = RoleSamples(self.folder / "manifest.parquet", [self.folder / "samples"])
        embed(encoder, role, arrays, "embed", has_captions=False, workers=workers)
        return read_array(arrays.images)

    def _our_captions(self, encoder: ClipEncoder) -> np.ndarray:
        return encoder.texts(captions(self.sizes.captions))

    def _their_images(self) -> np.ndarray:
        model = self.plain.model
        transform = open_clip.image_transform(self.plain.size, is_train=False)
        parts = []
        with torch.inference_mode():
            for start in range(0, len(self.pairs), self.sizes.batch):
                images = [Image.open(io.BytesIO(p["image"])) for p in self.pairs[start : start + self.sizes.batch]]
                batch = torch.stack([transform(image) for image in images])
                parts.append(model.encode_image(batch, normalize=True))
        return torch.cat(parts).numpy()

    def _their_captions(self) -> np.ndarray:
        parts, texts = [], captions(self.sizes.captions)[: self.sizes.peer_captions]
        with torch.inference_mode():
            for start in range(0, len(texts), self.sizes.batch):
                tokens = self.plain.tokenizer(texts[start : start + self.sizes.batch])
                parts.append(self.plain.model.encode_text(tokens, normalize=True))
        return torch.cat(parts).numpy()


def _model(sizes: Sizes) -> Clip:
    torch.manual_seed(0)
    clip = build(sizes.architecture)
    clip.model.eval()
    return clip


def _require_same(ours: np.ndarray, peer: np.ndarray, kind: torch.dtype, what: str) -> None:
    cosine = float((ours[: len(peer)] * peer).sum(axis=1).min())
    if cosine < LEAST_COSINE[kind]:
        raise AssertionError(f"{what}: an embedding has a cosine of {cosine:.5f} to the plain loop's")


def captions(number: int) -> list[str]:
    """Return captions of 8 to 17 words, the same for the same number."""
    rng, words = np.random.default_rng(0), SENTENCE.split()
    return [" ".join(rng.permutation(words)[: rng.integers(8, len(words))]) for _ in range(number)]


@contextmanager
def _samples(sizes: Sizes) -> Iterator[Path]:
    """A folder with the samples and the manifest of a role."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "samples").mkdir()
        pairs = [
            {"row": row, "uid": str(row), "caption": "a photo", "image": _encoded(rng)} for row in range(sizes.images)
        ]
        pq.write_table(pa.Table.from_pylist(pairs, schema=SAMPLES), folder / "samples" / f"{0:08x}.parquet")
        listed = [{"row": row, "uid": str(row), "group_id": str(row), "position": 0.5} for row in range(sizes.images)]
        pq.write_table(pa.Table.from_pylist(listed, schema=MANIFEST), folder / "manifest.parquet")
        yield folder


def _encoded(rng: np.random.Generator) -> bytes:
    """A JPEG of 256 × 256 pixels, of a gradient, since noise takes longer to decode than photographs do."""
    coarse = Image.fromarray(rng.integers(0, 256, size=(16, 16, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    coarse.resize((256, 256), Image.Resampling.BICUBIC).save(buffer, format="JPEG", quality=90)
    return buffer.getvalue()


def _product(rows: int, kind: torch.dtype) -> float:
    """Operations a second of a product as a feed-forward of ViT-B has it."""
    inputs, weights = torch.randn(rows, 768).to(kind), torch.randn(3072, 768).to(kind)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        torch.nn.functional.linear(inputs, weights)
        best = min(best, time.perf_counter() - start)
    return 2 * rows * 768 * 3072 / best


def cpu_flags() -> set[str]:
    """Return the flags of the CPU, in Linux's words; none elsewhere."""
    try:
        return set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return set()


if __name__ == "__main__":
    from benchmarks.run import table

    measured = [
        dataclasses.asdict(result)
        for result in measure(TINY if "--tiny" in sys.argv else Sizes(), "--bf16" in sys.argv)
    ]
    write_json(Path("results") / "embedding.json", measured)
    print(table(measured))
