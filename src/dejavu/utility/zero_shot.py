"""Zero-shot classification: the class whose prompts are most similar to an image, after CLIP (arXiv 2103.00020)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import open_clip
import torch

from dejavu.data.benchmarks import Benchmark, read_values
from dejavu.errors import InputError, closest, words
from dejavu.measurement.resampling import Resampling, interval
from dejavu.utility.encode import Encoder, left_out, results

ACCURACY_AT = (1, 5)
OPENCLIP_TEMPLATES = {
    "openai": open_clip.OPENAI_IMAGENET_TEMPLATES,
    "simple": open_clip.SIMPLE_IMAGENET_TEMPLATES,
}


def zero_shot(encoder: Encoder, benchmark: Benchmark, resampling: Resampling) -> list[dict]:
    """Return accuracy@1, accuracy@5 where there are more than five classes, and the mean accuracy@1 of the classes.

    A wrong class that is as similar as the true one counts as nearer. The mean is over the classes that occur.

    Returns:
        Rows of the utility table.

    Raises:
        InputError: when a label is no class, or no image is usable.
    """
    classes, truth = true_classes(benchmark)
    prompts = classifier(encoder, classes, benchmark.templates)
    images, used = encoder.images(benchmark, "data")
    truth = truth[used]
    ranks = _ranks(images, prompts, truth, encoder.model.at_once)
    hits = {f"accuracy@{k}": ranks <= k for k in ACCURACY_AT if k == 1 or len(classes) > k}
    rows = results(benchmark, hits, resampling)
    return [*rows, _mean_of_classes(benchmark, ranks <= 1, truth, resampling), left_out(benchmark, used)]


def _mean_of_classes(benchmark: Benchmark, right: np.ndarray, truth: np.ndarray, resampling: Resampling) -> dict:
    value = float(np.mean([right[truth == number].mean() for number in np.unique(truth)]))
    drawn = resampling.means_of_classes(right.astype(float), truth, benchmark.task, benchmark.name)
    low, high = interval(value, drawn, len(right))
    metric = f"{benchmark.name}_mean_class_accuracy@1"
    row = {"task": benchmark.task, "metric": metric, "value": value, "n": len(right)}
    return {**row, "ci_low": low, "ci_high": high, "drawn": drawn}


def true_classes(benchmark: Benchmark) -> tuple[Sequence[str], np.ndarray]:
    """Return the classes of a benchmark, and the number of every image's class among them, int64 (images,).

    Raises:
        InputError: when a label is missing, or is no class.
    """
    labels = read_values(benchmark, "data", "label")
    classes = _classes(benchmark, labels)
    return classes, _class_numbers(benchmark, labels, classes)


def classifier(encoder: Encoder, classes: Sequence[str], templates: str | Sequence[str]) -> np.ndarray:
    """Return one embedding per class: the normalised mean of the normalised embeddings of its prompts.

    Args:
        encoder: the model.
        classes: names of the classes.
        templates: ``openai`` or ``simple``, which are OpenCLIP's lists, or prompts in which ``{}`` stands for a name.

    Returns:
        float32 (classes, dimension).
    """
    if isinstance(templates, str):
        prompts = OPENCLIP_TEMPLATES[templates]
    else:
        prompts = [_filled(template) for template in templates]
    per_batch = max(1, encoder.model.at_once // len(prompts))
    means = []
    for start in range(0, len(classes), per_batch):
        batch = classes[start : start + per_batch]
        embedded = torch.from_numpy(encoder.model.texts([prompt(name) for name in batch for prompt in prompts]))
        # The same computation as in open_clip.build_zero_shot_classifier.
        mean = embedded.reshape(len(batch), len(prompts), -1).mean(dim=1)
        means.append(mean / mean.norm(dim=1, keepdim=True))
    return torch.cat(means).numpy()


def _filled(template: str) -> Callable[[str], str]:
    # str.format would interpret every other brace in the template, too.
    return lambda name: template.replace("{}", name)


def _classes(benchmark: Benchmark, labels: Sequence[Any]) -> Sequence[str]:
    where = f"utility.{benchmark.task}.{benchmark.name}"
    if isinstance(benchmark.classes, str):
        return open_clip.IMAGENET_CLASSNAMES
    if benchmark.classes is not None:
        return benchmark.classes
    numbers = [label for label in labels if not isinstance(label, str)]
    if numbers:
        raise InputError(
            f"{where}: its labels are numbers, such as {numbers[0]}, so the names of the classes are unknown: set "
            f"{where}.classes to imagenet, or to a file with one name per line."
        )
    return sorted(set(labels))


def _class_numbers(benchmark: Benchmark, labels: Sequence[Any], classes: Sequence[str]) -> np.ndarray:
    """Return the number of each label's class; a label is the name or the number of a class; int64 (labels,)."""
    where = f"utility.{benchmark.task}.{benchmark.name}"
    places = {name: number for number, name in enumerate(classes)}
    for label in set(labels):
        is_known = label in places if isinstance(label, str) else 0 <= label < len(classes)
        if not is_known:
            hint = words(
                closest(label, places) if isinstance(label, str) else f", numbered from 0 to {len(classes) - 1:,}"
            )
            raise InputError(
                f"{where}: the label {label!r} is none of the {len(classes):,} classes{hint}: correct {where}.classes, "
                "or the labels."
            )
    if len(places) < len(classes) and any(isinstance(label, str) for label in labels):
        repeated = next(name for number, name in enumerate(classes) if places[name] != number)
        raise InputError(f"{where}.classes: {repeated!r} is there twice, so its label may mean either: rename one.")
    return np.array([places[label] if isinstance(label, str) else label for label in labels], dtype=np.int64)


def _ranks(images: np.ndarray, prompts: np.ndarray, truth: np.ndarray, batch_size: int) -> np.ndarray:
    """Return the rank, from 1, of every image's true class; int64 (images,)."""
    ranks = np.empty(len(images), dtype=np.int64)
    for start in range(0, len(images), batch_size):
        block = slice(start, start + batch_size)
        similarity = images[block] @ prompts.T
        own = np.take_along_axis(similarity, truth[block, None], axis=1)
        ranks[block] = (similarity >= own).sum(axis=1)
    return ranks
