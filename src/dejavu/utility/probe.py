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
# 1 in N training images is used to choose regularization
VALIDATION = 5


def linear_probe(encoder: Encoder, benchmark: Benchmark, resampling: Resampling) -> list[dict]:
    """Accuracy@1 on the test set of a logistic regression that is fitted to the training set.

    Resampled is the test set; the regression stays as it is.

    Returns:
        Rows of the utility table.

    Raises:
        InputError: when a class has fewer than two training images, a test label is none of the training set's, or
            no image can be used.
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
    """The C that classifies best a fifth of the training set, fitted to the others; of equal ones the smallest.

    Every fifth image in order of class is the validation part, so that it has every class in proportion.

    Args:
        images: float32 (images, dimension).
        labels: int (images,).
        values: of C, the inverse strength of the L2 penalty.
    """
    order = np.argsort(labels, kind="stable")
    validation = np.zeros(len(labels), dtype=bool)
    validation[order[VALIDATION - 1 :: VALIDATION]] = True
    best, chosen = -1.0, min(values)
    for c in sorted(values) if validation.any() else []:
        fitted = _fit(images[~validation], labels[~validation], c)
        right = float((fitted.predict(images[validation]) == labels[validation]).mean())
        if right > best:
            best, chosen = right, c
    return chosen


def _fit(images: np.ndarray, labels: np.ndarray, c: float) -> LogisticRegression:
    return LogisticRegression(C=c, solver="lbfgs", max_iter=ITERATIONS).fit(images, labels)


def label_numbers(benchmark: Benchmark) -> dict[Any, int]:
    """The labels of the training set, in order, each with a number; all test labels are among them."""
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
            "and the choice of C takes two of each: bring more, or leave the class out of both sets."
        )
