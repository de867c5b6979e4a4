"""Linear probe: logistic regression on image embeddings, after CLIP (arXiv 2103.00020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from dejavu.data.benchmarks import Benchmark, read_values
from dejavu.errors import InputError, closest
from dejavu.measurement.resampling import Resampling
from dejavu.progress import say
from dejavu.utility.encode import Encoder, left_out, results

ITERATIONS = 1000
# One in VALIDATION training images is held out to choose the regularization.
VALIDATION = 5


def linear_probe(encoder: Encoder, benchmark: Benchmark, resampling: Resampling) -> list[dict]:
    """Fit a logistic regression to the training set, and return its accuracy@1 on the test set.

    The interval comes from resampling the test set. The regression is not fitted again.

    Returns:
        Rows of the utility table.

    Raises:
        InputError: when a class has fewer than two usable training images, the training set lacks a test label, or no
            image is usable.
    """
    numbers = label_numbers(benchmark)
    labels, images, used = {}, {}, {}
    for part in ("train", "test"):
        classes = np.array([numbers[label] for label in read_values(benchmark, part, "label")])
        images[part], used[part] = encoder.images(benchmark, part)
        labels[part] = classes[used[part]]
    _require_two_of_each(benchmark, labels["train"], list(numbers))
    c = choose_regularization(images["train"], labels["train"], benchmark.regularization)
    predicted = _fit(images["train"], labels["train"], c).predict(images["test"])
    say(f"{benchmark.task} {benchmark.name}: C = {c:g} of {', '.join(f'{x:g}' for x in benchmark.regularization)}")
    rows = results(benchmark, {"accuracy@1": predicted == labels["test"]}, resampling)
    return [*rows, left_out(benchmark, used["train"], used["test"])]


def choose_regularization(images: np.ndarray, labels: np.ndarray, values: Sequence[float]) -> float:
    """Return the C with the highest accuracy on a held-out fifth of the training set; of several, the smallest.

    The held-out images are every fifth in order of class, so that each class has its share.

    Args:
        images: float32 (images, dimension).
        labels: int (images,).
        values: values of C, the inverse strength of the L2 penalty.
    """
    order = np.argsort(labels, kind="stable")
    validation = np.zeros(len(labels), dtype=bool)
    validation[order[VALIDATION - 1 :: VALIDATION]] = True
    best, chosen = -1.0, min(values)
    for c in sorted(values) if validation.any() else []:
        fitted = _fit(images[~validation], labels[~validation], c)
        accuracy = float((fitted.predict(images[validation]) == labels[validation]).mean())
        if accuracy > best:
            best, chosen = accuracy, c
    return chosen


def _fit(images: np.ndarray, labels: np.ndarray, c: float) -> LogisticRegression:
    return LogisticRegression(C=c, solver="lbfgs", max_iter=ITERATIONS).fit(images, labels)


def label_numbers(benchmark: Benchmark) -> dict[Any, int]:
    """Return label -> number, for the labels of the training set in order.

    Raises:
        InputError: when the training set lacks a test label.
    """
    numbers = {label: i for i, label in enumerate(sorted(set(read_values(benchmark, "train", "label")), key=str))}
    unknown = set(read_values(benchmark, "test", "label")) - set(numbers)
    if unknown:
        label = min(unknown, key=str)
        raise InputError(
            f"utility.{benchmark.task}.{benchmark.name}: the test label {label!r} is no label of the training set"
            f"{closest(str(label), map(str, numbers))}: correct the labels, or name other files."
        )
    return numbers


def _require_two_of_each(benchmark: Benchmark, labels: np.ndarray, names: Sequence[Any]) -> None:
    counts = np.bincount(labels, minlength=len(names))
    where = f"utility.{benchmark.task}.{benchmark.name}"
    if len(names) < 2:
        raise InputError(f"{where}: all its training images have the label {names[0]!r}: bring at least two classes.")
    if counts.min() < 2:
        raise InputError(
            f"{where}: the label {names[int(counts.argmin())]!r} has fewer than two training images that can be used, "
            "and the choice of C needs two of each: bring more, or leave the class out of both sets."
        )
