"""Check of the models: each is loaded, run on some pairs, and asked to find each caption's own image."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dejavu.check.findings import LOOK, OK, Findings
from dejavu.checkpoints import Checkpoint
from dejavu.config.architectures import architecture_path
from dejavu.data.images import decode_rgb
from dejavu.data.results import read_results
from dejavu.encoders.interface import Encoder, Model, Running
from dejavu.encoders.load import load_encoder
from dejavu.encoders.openclip import ClipEncoder
from dejavu.errors import words
from dejavu.files import matching_files
from dejavu.retrieval.finite import require_finite
from dejavu.sides import KINDS, TFIDF, kind_of
from dejavu.training.model import build

# A model gets pairs in parts of PART until SECONDS have passed: without a GPU, a large model is slow.
SECONDS, PART = 15, 8
# A model counts as better than chance from this many standard deviations on.
TOLERANCE = 3


def own_ranks(images: np.ndarray, captions: np.ndarray) -> list[int]:
    """Return, for every caption i, the rank of image i by inner product; other images with an equal product come first.

    Args:
        images, captions: float (n, dimension).
    """
    similarity = captions @ images.T
    return (similarity >= np.diag(similarity)[:, None]).sum(axis=1).tolist()


def ranks_of_own_images(encoder: Encoder, pairs: Sequence[dict], title: str) -> list[int]:
    """Return, for the caption of each pair, the rank of its own image among all images, by cosine; 1 is the nearest.

    Args:
        encoder: the model.
        pairs: pairs with caption and encoded image; the first eight, and more until :data:`SECONDS` have passed.
        title: name of the model, for the error.

    Raises:
        InputError: when an embedding is not finite.
    """
    start, images, captions = time.monotonic(), [], []
    for first in range(0, len(pairs), PART):
        if first and time.monotonic() - start > SECONDS:
            break
        part = pairs[first : first + PART]
        embedded = encoder.images([decode_rgb(pair["image"]) for pair in part])
        images.append(require_finite(embedded, words(f"{title}, images")))
        embedded = encoder.texts([pair["caption"] for pair in part])
        captions.append(require_finite(embedded, words(f"{title}, captions")))
    return own_ranks(np.concatenate(images), np.concatenate(captions))


def look_at_models(findings: Findings, config: Mapping[str, Any], base: Path) -> None:
    """Build every architecture, load every checkpoint and text encoder, and run each of them on pairs.

    Args:
        findings: receives the findings, and has the pairs.
        config: the checked and complete configuration.
        base: the workflow's folder, which is searched for files of architectures.
    """
    seen: dict[str, str] = {}
    for name, model in config["models"].items():
        dataset = _pairs_for(name, config, findings)
        if "sides" not in model:
            if model["architecture"] not in seen:
                seen[model["architecture"]] = name
                with findings.about(f"models.{name}"):
                    _look_at_recipe(findings, f"models.{name}", model, dataset, config["device"], base)
            continue
        for letter, side in model["sides"].items():
            about = f"models.{name}.sides.{letter}"
            kind = kind_of(side)
            source = side[kind]
            if kind == "model" or source == TFIDF:
                continue
            known = f"{source} {side['architecture']} {side['preprocessing']} {dataset}"
            if known in seen:
                findings.add(about, OK, f"as {seen[known]}")
                continue
            seen[known] = about
            with findings.about(about):
                _look_at_side(findings, about, side, dataset, config, base)


def _pairs_for(model: str, config: Mapping[str, Any], findings: Findings) -> str | None:
    """Return the dataset whose pairs a model is tried on: that of role a in the model's first split with pairs."""
    for split in config["splits"].values():
        dataset = split["roles"]["a"]["dataset"]
        if model in split["models"] and findings.pairs.get(dataset):
            return str(dataset)
    return None


def _look_at_recipe(
    findings: Findings, about: str, recipe: Mapping, dataset: str | None, device: str, base: Path
) -> None:
    clip = build(_architecture(recipe["architecture"], base) or "", device)
    clip.model.eval()
    encoder = ClipEncoder(clip, Running(PART, device))
    if dataset is not None:
        ranks_of_own_images(encoder, findings.pairs[dataset][:PART], about)
    findings.add(about, OK, f"{recipe['architecture']}, {encoder.size}, can be built")


def _architecture(name: str | None, base: Path) -> str | None:
    path = None if name is None else architecture_path(name, base)
    return name if path is None else str(path)


def _look_at_side(
    findings: Findings, about: str, section: Mapping, dataset: str | None, config: Mapping, base: Path
) -> None:
    """Load the model of a side that is not trained here, and run it on pairs."""
    kind = kind_of(section)
    weights = Checkpoint.of(section[kind]).weights
    model = Model(kind, section[kind], weights, _architecture(section["architecture"], base), section["preprocessing"])
    encoder = load_encoder(model, Running(PART, config["device"]))
    if not KINDS[kind].has_images:
        captions = [pair["caption"] for pair in findings.pairs[dataset]] if dataset is not None else ["a photo"]
        embedded = require_finite(encoder.texts(captions), about)
        findings.add(about, OK, f"{section[kind]} embeds captions in {embedded.shape[1]:,} dimensions")
        return
    preparation = encoder.preparation
    findings.add(about, OK, encoder.size)
    findings.add(about, LOOK if preparation.is_guessed else OK, f"images are prepared with {preparation.text}")
    if section["clip_benchmark"]:
        files = matching_files(f"{about}.clip_benchmark", section["clip_benchmark"])
        results = read_results(files, section["architecture"])
        findings.add(about, OK, f"clip-benchmark has measured {len(results):,} numbers of it")
    if dataset is None:
        return
    ranks = ranks_of_own_images(encoder, findings.pairs[dataset], about)
    findings.ranks.setdefault(dataset, {})[about.removeprefix("models.")] = ranks
    _tell_ranks(findings, about, ranks)


def _tell_ranks(findings: Findings, about: str, ranks: Sequence[int]) -> None:
    number = len(ranks)
    if number < 2:
        return
    share = float(np.mean([(number - rank) / (number - 1) for rank in ranks]))
    error = math.sqrt((number + 1) / (12 * (number - 1) * number))
    sentence = (
        f"{sum(rank == 1 for rank in ranks)} of {number} captions find their own image first among {number} images, "
        f"where chance finds 1; the own image is nearer than {share:.0%} of the others, where chance has 50% ± "
        f"{2 * error:.0%}"
    )
    if share > 0.5 + TOLERANCE * error:
        findings.add(about, OK, sentence)
        return
    findings.add(
        about,
        LOOK,
        f"{sentence}: the weights, their architecture, activation or preprocessing may not belong together, or the "
        "model does not know such pairs",
    )
