"""Text randomization, the stream of pairs, checkpoints, and runs that are killed and continued."""

from __future__ import annotations

import fcntl
import math
import os
import pickle
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from dejavu.data.images import decode_rgb
from dejavu.data.samples import SampleStore
from dejavu.errors import InputError
from dejavu.tables import MANIFEST, SAMPLES
from dejavu.training import loop
from dejavu.training.loop import Recipe, train
from dejavu.training.model import build, load_checkpoint, save_checkpoint
from dejavu.training.stream import PairStream
from dejavu.training.text import mask_words

CAPTION = " ".join(f"word{i}" for i in range(20))


# text randomization


def test_no_masking_returns_the_caption_as_it_is():
    assert mask_words("  a  red\tdog ", 0, 1, 2, 3) == "  a  red\tdog "


def test_a_masked_caption_keeps_its_words_in_order_and_never_none():
    for row in range(300):
        kept = [CAPTION.split().index(word) for word in mask_words(CAPTION, 0.95, 0, 0, row).split()]
        assert kept == sorted(set(kept))
        assert kept
    assert mask_words("dog", 0.99, 0, 0, 0) == "dog"
    assert mask_words("", 0.5, 0, 0, 0) == ""


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.6])
def test_the_share_of_words_masked_is_the_ratio(ratio):
    kept = sum(len(mask_words(CAPTION, ratio, 0, 0, row).split()) for row in range(500))
    assert 1 - kept / (500 * 20) == pytest.approx(ratio, abs=0.02)


def test_every_word_is_masked_as_often_as_every_other():
    kept = Counter(word for row in range(1000) for word in mask_words(CAPTION, 0.5, 0, 0, row).split())
    assert min(kept.values()) > 430
    assert max(kept.values()) < 570


@pytest.mark.parametrize("other", [(1, 0, 7), (0, 1, 7), (0, 0, 8)], ids=["seed", "epoch", "row"])
def test_masking_is_drawn_anew_for_every_seed_epoch_and_row_and_is_reproducible(other):
    assert mask_words(CAPTION, 0.5, 0, 0, 7) == mask_words(CAPTION, 0.5, 0, 0, 7)
    assert mask_words(CAPTION, 0.5, 0, 0, 7) != mask_words(CAPTION, 0.5, *other)


# the stream of pairs


@pytest.fixture
def pairs(tmp_path, write_batch, picture) -> tuple[Path, list[dict]]:
    """The samples folder and the records of 14 samples in three files of 5, 5 and 4."""
    rows = [(1 + i // 5) << 32 | i % 5 for i in range(14)]
    words = ["red", "blue", "dog", "cat", "star", "ring", "sea"]
    records = [
        {
            "row": row,
            "uid": str(row),
            "caption": f"{words[i % 7]} {words[i % 5]} {words[i % 3]} {i}",
            "image": picture(i),
        }
        for i, row in enumerate(rows)
    ]
    return Path(write_batch(tmp_path / "samples", SAMPLES, records)), records


# 14 samples fit in a buffer of 100, and stream through one of 4
BUFFERS = pytest.mark.parametrize("buffer", [100, 4], ids=["resident", "streaming"])


def stream(pairs, buffer: int, seed: int = 0, leave_out: int = 0) -> PairStream:
    folder, records = pairs
    rows = np.array([r["row"] for r in records][leave_out:])
    return PairStream(SampleStore([folder]), rows, 32, buffer, seed)


def order(batches, number: int) -> list[tuple[int, int]]:
    """(epoch, row) of the first batches, one pair after the other."""
    return [pair for b in islice(batches, number) for pair in zip(b.epochs.tolist(), b.rows.tolist(), strict=True)]


@BUFFERS
def test_the_stream_shows_every_sample_once_per_epoch(pairs, buffer):
    shown = order(stream(pairs, buffer).batches(4), 14)
    assert [epoch for epoch, _ in shown] == [i // 14 for i in range(56)]
    for epoch in range(4):
        assert sorted(row for e, row in shown if e == epoch) == [r["row"] for r in pairs[1]]


@BUFFERS
def test_the_stream_shows_only_its_training_set(pairs, buffer):
    shown = order(stream(pairs, buffer, leave_out=6).batches(4), 2)
    assert sorted(row for _, row in shown) == [r["row"] for r in pairs[1]][6:]


@BUFFERS
def test_the_stream_has_the_same_order_for_the_same_seed_another_for_another_and_for_every_epoch(pairs, buffer):
    shown, again, other = (order(stream(pairs, buffer, seed).batches(7), 4) for seed in (0, 0, 1))
    assert shown == again != other
    assert [row for epoch, row in shown if epoch == 0] != [row for epoch, row in shown if epoch == 1]


@BUFFERS
def test_the_order_is_not_that_of_the_files(pairs, buffer):
    shown = [row for _, row in order(stream(pairs, buffer).batches(14), 1)]
    assert shown not in (sorted(shown), sorted(shown, reverse=True))


@BUFFERS
@pytest.mark.parametrize("skip", [0, 4, 12, 28, 60])
def test_skipping_continues_exactly_where_an_earlier_run_stopped(pairs, buffer, skip):
    whole = order(stream(pairs, buffer).batches(4), 20)
    assert order(stream(pairs, buffer).batches(4, skip=skip), 5) == whole[skip : skip + 20]


@BUFFERS
def test_a_batch_holds_each_row_s_own_caption_and_image(pairs, buffer):
    record = {r["row"]: r for r in pairs[1]}
    for batch in islice(stream(pairs, buffer).batches(5), 6):
        assert batch.images.shape == (5, 32, 32, 3)
        for row, image, caption in zip(batch.rows.tolist(), batch.images, batch.captions, strict=True):
            assert caption == record[row]["caption"]
            assert np.array_equal(image, np.asarray(decode_rgb(record[row]["image"])))


# the recipe


def recipe(architecture: str = "ViT-B-32", **changes) -> Recipe:
    values = {
        "architecture": architecture,
        "samples_seen": 40,
        "batch_size": 4,
        "learning_rate": 1e-3,
        "weight_decay": 0.1,
        "beta1": 0.9,
        "beta2": 0.98,
        "epsilon": 1e-6,
        "warmup": 0.2,
        "text_mask": 0.5,
        "precision": "fp32",
        "torch_threads": 1,
        "shuffle_buffer": 5,
        "seed": 0,
    }
    return Recipe(**(values | changes))


@pytest.mark.parametrize(("seen", "batch", "steps"), [(40, 4, 10), (43, 4, 10), (4, 4, 1), (80_000, 128, 625)])
def test_a_recipe_takes_the_whole_batches_in_its_budget(seen, batch, steps):
    assert recipe(samples_seen=seen, batch_size=batch).steps == steps


def test_the_learning_rate_warms_up_linearly_and_falls_by_half_a_cosine():
    r = recipe(samples_seen=400, warmup=0.1, learning_rate=2.0)
    rates = [r.learning_rate_at(step) for step in range(100)]
    assert rates[:10] == pytest.approx([2.0 * (i + 1) / 10 for i in range(10)])
    assert rates[10:] == pytest.approx([1.0 * (1 + math.cos(math.pi * i / 90)) for i in range(90)])
    assert rates[99] < 0.01


@pytest.mark.parametrize("warmup", [0.0, 1.0])
def test_the_learning_rate_is_positive_and_at_most_its_peak_with_no_warm_up_and_with_nothing_else(warmup):
    r = recipe(warmup=warmup)
    rates = [r.learning_rate_at(step) for step in range(r.steps)]
    assert max(rates) == r.learning_rate
    assert min(rates) > 0


# checkpoints


@pytest.fixture
def tiny(tiny_architecture) -> str:
    return tiny_architecture()


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)["model"]


def test_a_checkpoint_comes_back_with_the_same_weights_and_embeddings(tmp_path, tiny):
    torch.manual_seed(0)
    clip = build(tiny)
    save_checkpoint(tmp_path / "c.pt", clip, 10, 40)
    torch.manual_seed(1)
    loaded = load_checkpoint(tmp_path / "c.pt", tiny)
    for name, value in clip.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], value), name
    assert not loaded.model.training
    tokens = clip.tokenizer(["a red dog"])
    assert tokens.shape == (1, 16)
    assert torch.equal(loaded.model.encode_text(tokens), clip.model.eval().encode_text(tokens))


def test_a_model_normalises_pixels_by_channel(tiny):
    clip = build(tiny)
    assert clip.size == 32
    images = np.random.default_rng(0).integers(0, 256, size=(2, 32, 32, 3), dtype=np.uint8)
    found = clip.normalize(images, "cpu").numpy()
    assert found.shape == (2, 3, 32, 32)
    for c in range(3):
        mean, std = clip.mean.flatten()[c].item(), clip.std.flatten()[c].item()
        assert found[1, c, 4, 9] == pytest.approx((images[1, 4, 9, c] / 255 - mean) / std, abs=1e-5)


class Trap:
    """Unpickling it would make a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("by", ["torch", "pickle"])
def test_a_checkpoint_that_holds_code_is_refused_and_the_code_not_run(tmp_path, tiny, by):
    path, sprung = tmp_path / "c.pt", tmp_path / "sprung"
    content = {"model": Trap(str(sprung)), "architecture": "{}"}
    if by == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(InputError) as error:
        load_checkpoint(path, tiny)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert not sprung.exists()


@pytest.mark.parametrize("kept", [0, 100, -100])
def test_a_truncated_checkpoint_is_refused_with_a_sentence(tmp_path, tiny, kept):
    path = tmp_path / "c.pt"
    save_checkpoint(path, build(tiny), 10, 40)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match="delete it and run again"):
        load_checkpoint(path, tiny)


def test_a_checkpoint_of_another_architecture_is_refused_naming_both(tmp_path, tiny, tiny_architecture):
    path, other = tmp_path / "c.pt", tiny_architecture("other-for-tests", width=64)
    save_checkpoint(path, build(tiny), 10, 40)
    with pytest.raises(InputError) as error:
        load_checkpoint(path, other)
    message = str(error.value)
    assert str(path) in message
    assert other in message
    assert "embed_dim" in message


def test_an_unknown_architecture_is_refused_with_a_suggestion():
    with pytest.raises(InputError, match="'ViT-B-23' .did you mean 'ViT-B-32'"):
        build("ViT-B-23")


# runs


class Killed(BaseException):
    """Ends a run where a kill signal would."""


@pytest.fixture
def run(tmp_path, pairs, monkeypatch, tiny):
    """Trains in a folder of its own, optionally killed in the middle of a step; returns checkpoint and metrics."""
    folder, records = pairs
    manifest = tmp_path / "manifest.parquet"
    listed = [{"row": r["row"], "uid": r["uid"], "group_id": r["uid"], "position": 0.5} for r in records]
    pq.write_table(pa.Table.from_pylist(listed, schema=MANIFEST), manifest)
    updates: list[int] = []

    def start(name: str, kill_in_step: int | None = None, side: str = "a", code: str = "c", **changes):
        r, place = recipe(**({"architecture": tiny} | changes)), tmp_path / name
        updates.clear()

        def mask(caption, ratio, seed, epoch, row):
            if kill_in_step is not None and len(updates) == (kill_in_step - 1) * r.batch_size + 2:
                raise Killed
            updates.append(row)
            return mask_words(caption, ratio, seed, epoch, row)

        monkeypatch.setattr(loop, "mask_words", mask)
        out = place / "checkpoints", place / "metrics.parquet"
        options = {"state": place / "state", "code": code, "device": "cpu", "title": "train", "state_seconds": 0.0}
        train(r, side, manifest, [str(folder)], *out, **options)
        return out[0] / f"{r.samples_seen}.pt", pq.read_table(out[1]).to_pylist()

    start.updates = updates
    start.root = tmp_path
    return start


def same(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def reproducible(metrics: list[dict]) -> list[dict]:
    return [{name: value for name, value in line.items() if name != "samples_per_second"} for line in metrics]


@pytest.mark.parametrize("changes", [{}, {"shuffle_buffer": 100, "text_mask": 0.0}], ids=["streaming", "resident"])
def test_a_killed_run_continues_and_ends_with_bit_identical_weights(run, changes):
    whole, whole_metrics = run("whole", **changes)
    # killed after 3 steps, and after 3 more
    for _ in range(2):
        with pytest.raises(Killed):
            run("killed", kill_in_step=4, **changes)
    continued, metrics = run("killed", **changes)
    assert len(run.updates) == (10 - 6) * 4
    assert same(whole, continued)
    assert reproducible(metrics) == reproducible(whole_metrics)
    assert not (run.root / "killed" / "state").exists()


def test_a_killed_run_of_a_model_with_dropout_continues_with_the_same_random_numbers(run, tiny_architecture):
    changes = {"architecture": tiny_architecture("dropout-for-tests", patch_dropout=0.5), "samples_seen": 24}
    whole, _ = run("whole", **changes)
    with pytest.raises(Killed):
        run("killed", kill_in_step=4, **changes)
    assert same(whole, run("killed", **changes)[0])


def test_training_lowers_the_loss_and_writes_a_line_of_metrics_for_its_steps(run):
    _, metrics = run("one", samples_seen=160, text_mask=0.0)
    assert [(m["step"], m["samples_seen"]) for m in metrics] == [(i, 4 * i) for i in range(1, 41)]
    assert [m["learning_rate"] for m in metrics] == [recipe(samples_seen=160).learning_rate_at(i) for i in range(40)]
    losses = [m["loss"] for m in metrics]
    assert sum(losses[-8:]) < 0.8 * sum(losses[:8])


def test_the_same_recipe_gives_the_same_weights_and_another_seed_or_side_others(run):
    one, _ = run("one")
    assert same(one, run("again")[0])
    assert not same(one, run("seed", seed=1)[0])
    assert not same(one, run("side", side="b")[0])


@pytest.mark.parametrize(
    "change", [{"code": "new"}, {"learning_rate": 2e-3}, {"side": "b"}], ids=["code", "recipe", "side"]
)
def test_a_state_left_by_another_run_is_not_continued(run, change):
    with pytest.raises(Killed):
        run("x", kill_in_step=5)
    run("x", **change)
    assert len(run.updates) == 10 * 4


def test_a_second_trainer_of_the_same_side_is_refused(run):
    state = run.root / "held" / "state"
    state.mkdir(parents=True)
    with open(state / "lock", "w") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process is training this side"):
            run("held")
        assert not run.updates
    run("held")


def test_a_training_set_smaller_than_a_batch_is_refused_with_a_remedy(run):
    with pytest.raises(InputError, match="14 samples, fewer than one batch of 15: lower batch_size"):
        run("small", batch_size=15, samples_seen=60)


def test_a_loss_that_is_no_number_stops_with_a_remedy_and_leaves_no_checkpoint(run, monkeypatch):
    class Broken(loop.ClipLoss):
        def forward(self, *args, **kwargs):
            return super().forward(*args, **kwargs) * float("nan")

    monkeypatch.setattr(loop, "ClipLoss", Broken)
    with pytest.raises(InputError, match="the loss is nan at step 1: lower learning_rate"):
        run("nan")
    assert not (run.root / "nan" / "checkpoints").exists()
