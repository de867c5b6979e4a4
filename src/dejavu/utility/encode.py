"""Embeddings of what benchmarks hold: their images, and the texts that these are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dejavu.data.benchmarks import Benchmark, read_images
from dejavu.encoders.interface import Encoder as ImageTextEncoder
from dejavu.errors import InputError
from dejavu.measurement.resampling import Resampling, shares
from dejavu.progress import Progress
from dejavu.retrieval.finite import require_finite


@dataclass(frozen=True)
class Encoder:
    """A model that embeds what benchmarks hold.

    Attributes:
        model: the model.
        title: for the progress lines.
    """

    model: ImageTextEncoder
    title: str = "utility"

    def images(self, benchmark: Benchmark, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Embeds the images of a set of a benchmark.

        Returns:
            float32 (used, dimension), L2-normalised, of the images that can be used; bool (images,), which they are.

        Raises:
            InputError: when none can be used.
        """
        progress = Progress(f"{self.title} {benchmark.task} {benchmark.name} {part}", 0, "images")
        embedded: list[np.ndarray] = []
        used: list[bool] = []
        for images in read_images(benchmark, part, self.model.at_once):
            usable = [image for image in images if image is not None]
            used += [image is not None for image in images]
            if usable:
                embedded.append(require_finite(self.model.images(usable), self.title))
            progress.advance(len(images))
        progress.finish(f"{len(used) - sum(used):,} cannot be used" if not all(used) else "")
        if not embedded:
            raise InputError(
                f"utility.{benchmark.task}.{benchmark.name}.{part}: none of its {len(used):,} images can be used: name "
                "the column of the encoded images in image, or paths relative to the folder of the file."
            )
        return np.concatenate(embedded), np.array(used)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Embeds texts; float32 (texts, dimension), L2-normalised."""
        embedded = []
        for start in range(0, len(texts), self.model.at_once):
            part = list(texts[start : start + self.model.at_once])
            embedded.append(require_finite(self.model.texts(part), self.title))
        return np.concatenate(embedded)


def result(benchmark: Benchmark, metric: str, value: float, n: int) -> dict:
    """A row of the utility table; the name of the benchmark comes before the metric's."""
    return {"task": benchmark.task, "metric": f"{benchmark.name}_{metric}", "value": float(value), "n": int(n)}


def results(benchmark: Benchmark, hits: Mapping[str, np.ndarray], resampling: Resampling) -> list[dict]:
    """Rows of the utility table with intervals: shares of a benchmark's images, which are resampled one by one.

    Args:
        benchmark: whose task and name the rows carry.
        hits: metric -> bool or float64 (images,), whether the model was right; NaN where an image does not count.
        resampling: how intervals are drawn.
    """
    columns = np.column_stack([column.astype(float) for column in hits.values()])
    images = np.arange(len(columns))
    drawn = resampling.means(columns, images, benchmark.task, benchmark.name)
    return shares(benchmark.task, [f"{benchmark.name}_{metric}" for metric in hits], columns, images, drawn)


def left_out(benchmark: Benchmark, *used: np.ndarray) -> dict:
    """The row that says which share of the images could not be used; n is the number of all."""
    everyone = np.concatenate(used)
    return result(benchmark, "left_out", (~everyone).mean(), len(everyone))
