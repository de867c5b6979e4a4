"""Speed of a training step of ViT-B-32 with captions of ordinary length, against ``open_clip_train``, on one core.

Both trainings get the same prepared batches of images and tokens, and begin with the same weights; their losses are
printed step by step. ``open_clip_train`` runs its own ``train_one_epoch`` at fp32. This project's step runs at fp32,
and with bfloat16 towers over float32 weights. Bfloat16 is slow on a CPU without bfloat16 units; there it is not timed,
and only its first losses are printed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers import Batch, OpenClipTraining
from benchmarks.timing import Result, best_seconds
from dejavu.progress import say
from dejavu.training.model import build
from dejavu.training.ranks import Ranks
from dejavu.training.recipe import Recipe
from dejavu.training.step import Learner

ARCHITECTURE = "ViT-B-32"
BATCH = 32
STEPS = 2
ROUNDS = 3
RATE = 1e-4
SENTENCE = "a photo of two dogs that play with an old red ball on the beach near some boats"
BFLOAT16_UNITS = {"amx_bf16", "avx512_bf16", "sve_bf16"}


def measure() -> list[Result]:
    """Time a few steps of each training in turn, and print the losses of all."""
    recipe = Recipe(
        architecture=ARCHITECTURE,
        samples_seen=STEPS * ROUNDS * BATCH,
        batch_size=BATCH,
        learning_rate=RATE,
        weight_decay=0.2,
        beta1=0.9,
        beta2=0.98,
        epsilon=1e-6,
        warmup=0.0,
        text_mask=0.0,
        precision="fp32",
        torch_threads=1,
        shuffle_buffer=1,
        seed=0,
    )
    batches = list(_batches(build(ARCHITECTURE).tokenizer))
    losses: dict[str, list[float]] = {"ours": [], "ours, bf16": [], "open_clip_train": []}
    functions = {
        "ours": _ours(recipe, batches, losses["ours"]),
        "open_clip_train": _peer(recipe, batches, losses["open_clip_train"]),
    }
    halved = _ours(Recipe(**{**vars(recipe), "precision": "bf16"}), batches, losses["ours, bf16"])
    if _bfloat16_units():
        functions["ours, bf16"] = halved
    else:
        say("[training] this CPU has no bfloat16 units, so bf16 is not timed")
        halved()
    seconds, _ = best_seconds("training", functions, ROUNDS)
    for name, curve in losses.items():
        say(f"[training] losses of {name}: {' '.join(f'{loss:.4f}' for loss in curve)}")
    worst = max(abs(ours - peer) for ours, peer in zip(losses["ours"], losses["open_clip_train"], strict=True))
    if worst > 1e-3:
        raise AssertionError(f"at fp32 the losses of this project and of open_clip_train differ by {worst}")
    rate = {name: STEPS * BATCH / taken for name, taken in seconds.items()}
    return [
        Result.of_rates(name, rate[ours], rate["open_clip_train"], "images/s", note)
        for name, ours, note in (
            ("training", "ours", "open_clip_train, both fp32"),
            ("training_bf16", "ours, bf16", "open_clip_train fp32"),
        )
        if ours in rate
    ]


def _batches(tokenizer: Any) -> Iterator[Batch]:
    words = SENTENCE.split()
    generator = torch.Generator().manual_seed(0)
    for _ in range(STEPS * ROUNDS):
        orders = [torch.randperm(len(words), generator=generator).tolist() for _ in range(BATCH)]
        lengths = torch.randint(8, len(words) + 1, (BATCH,), generator=generator).tolist()
        captions = [" ".join(words[i] for i in order[:n]) for order, n in zip(orders, lengths, strict=True)]
        yield torch.randn(BATCH, 3, 224, 224, generator=generator), tokenizer(captions)


def _ours(recipe: Recipe, batches: list[Batch], losses: list[float]) -> Callable[[], None]:
    torch.manual_seed(recipe.seed)
    clip = build(recipe.architecture)
    learner = Learner(clip, recipe, Ranks())

    def run() -> None:
        for images, tokens in batches[len(losses) : len(losses) + STEPS]:
            rate = recipe.learning_rate_at(len(losses))
            losses.append(float(learner.step(images, clip.cut(tokens), rate)[0]))

    return run


def _peer(recipe: Recipe, batches: list[Batch], losses: list[float]) -> Callable[[], None]:
    training = OpenClipTraining(recipe)

    def run() -> None:
        training.run(batches[len(losses) : len(losses) + STEPS])
        losses.extend(loss.item() for loss in training.losses[len(losses) :])

    return run


def _bfloat16_units() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return False
    return bool(BFLOAT16_UNITS.intersection(flags))
