"""Embeddings of a benchmark's images and texts, and rows of the utility table."""

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
    """A model that embeds the images and texts of benchmarks.

    Attributes:
        model: the encoder of the side.
        title: name of the job, for the progress lines.
    """

    model: ImageTextEncoder
    title: str = "utility"

    def images(self, benchmark: Benchmark, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Embed the usable images in one set of a benchmark.

        Args:
            benchmark: the benchmark.
            part: name of the set: ``data``, ``train`` or ``test``.

        Returns:
            The embeddings of the usable images, float32 (usable images, dimension), L2-normalised, and whether each
            image is usable, bool (images,).

        Raises:
            InputError: when no image is usable.
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
                f"utility.{benchmark.task}.{benchmark.name}.{part}: none of its {len(used):,} images can be used: set "
                "image to a column of encoded images, or of paths relative to the folder of the file."
            )
        return np.concatenate(embedded), np.array(used)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts; float32 (texts, dimension), L2-normalised."""
        embedded = []
        for start in range(0, len(texts), self.model.at_once):
            part = list(texts[start : start + self.model.at_once])
            embedded.append(require_finite(self.model.texts(part), self.title))
        return np.concatenate(embedded)


def result(benchmark: Benchmark, metric: str, value: float, n: int) -> dict:
    """Return a row of the utility table; the benchmark's name stands before the metric's."""
    return {"task": benchmark.task, "metric": f"{benchmark.name}_{metric}", "value": float(value), "n": int(n)}


def results(benchmark: Benchmark, hits: Mapping[str, np.ndarray], resampling: Resampling) -> list[dict]:
    """Return rows of the utility table: accuracies over a benchmark's images, with bootstrap intervals over images.

    Args:
        benchmark: the benchmark, whose task and name are in the rows.
        hits: metric -> bool or float64 (images,), whether the model was right; NaN where an image does not count.
        resampling: how intervals are drawn.
    """
    columns = np.column_stack([column.astype(float) for column in hits.values()])
    images = np.arange(len(columns))
    drawn = resampling.means(columns, images, benchmark.task, benchmark.name)
    return shares(benchmark.task, [f"{benchmark.name}_{metric}" for metric in hits], columns, images, drawn)


def left_out(benchmark: Benchmark, *used: np.ndarray) -> dict:
    """Return the row with the share of images that could not be used, of the n images in all sets.

    Args:
        benchmark: the benchmark.
        used: for each set, bool (images,), whether an image was used.
    """
    is_used = np.concatenate(used)
    return result(benchmark, "left_out", (~is_used).mean(), len(is_used))
