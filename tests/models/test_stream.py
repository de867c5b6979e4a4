"""The stream of training pairs: its order, its parts, what it decodes and holds, and what it shows of a pair."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import closing
from itertools import islice

import numpy as np
import pytest

from dejavu.data.images import decode_rgb
from dejavu.data.samples import SampleStore
from dejavu.tables import SAMPLES
from dejavu.training import stream as module
from dejavu.training.augment import Augmentation
from dejavu.training.stream import Batch, PairStream

# 14 samples fit in a buffer of 100, and stream through one of 4
BUFFERS = pytest.mark.parametrize("buffer", [100, 4], ids=["resident", "streaming"])
AUGMENTATION = Augmentation(crop_scale=(0.2, 0.8), flip=0.5)


def stream(pairs, buffer: int, seed: int = 0, leave_out: int = 0, **options) -> PairStream:
    folder, records = pairs
    rows = np.array([r["row"] for r in records][leave_out:])
    return PairStream(SampleStore([folder]), rows, 32, buffer, seed, **options)


def first(batches, number: int) -> list[Batch]:
    with closing(batches):
        return list(islice(batches, number))


def order(batches, number: int) -> list[tuple[int, int]]:
    """(epoch, row) of the first batches, one pair after the other."""
    return [pair for b in first(batches, number) for pair in zip(b.epochs.tolist(), b.rows.tolist(), strict=True)]


def same(ones: list[Batch], others: list[Batch]) -> bool:
    return len(ones) == len(others) and all(
        np.array_equal(one.rows, other.rows)
        and np.array_equal(one.epochs, other.epochs)
        and np.array_equal(one.images, other.images)
        and one.captions == other.captions
        for one, other in zip(ones, others, strict=True)
    )


@pytest.fixture
def decoded(monkeypatch) -> list[bytes]:
    """The images that a stream has decoded."""
    images: list[bytes] = []

    def decode(data: bytes):
        images.append(data)
        return decode_rgb(data)

    monkeypatch.setattr(module, "decode_rgb", decode)
    return images


# order


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


def test_a_training_set_in_the_buffer_is_permuted_by_seed_and_epoch_as_ever(pairs):
    rows = sorted(r["row"] for r in pairs[1])
    expected = [(e, rows[i]) for e in range(3) for i in np.random.default_rng([7, e]).permutation(14)]
    assert order(stream(pairs, 100, seed=7).batches(14), 3) == expected


@BUFFERS
def test_shared_samples_and_those_of_the_own_role_are_shuffled_together(pairs, buffer):
    folder, records = pairs
    rows = [r["row"] for r in records]
    own, shared = rows[:4], rows[4:]
    # in whatever order the two are joined
    for joined in (own + shared, shared + own):
        shown = order(PairStream(SampleStore([folder]), np.array(joined), 32, buffer, 0).batches(14), 3)
        assert shown == order(stream(pairs, buffer).batches(14), 3)
        for epoch in range(3):
            of_epoch = [row for e, row in shown if e == epoch]
            assert sorted(of_epoch) == rows
            assert {of_epoch.index(row) for row in own} != set(range(4))


@BUFFERS
def test_the_order_of_the_stream_depends_on_seed_and_epoch(pairs, buffer):
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
    for batch in first(stream(pairs, buffer).batches(5), 6):
        assert batch.images.shape == (5, 32, 32, 3)
        for row, image, caption in zip(batch.rows.tolist(), batch.images, batch.captions, strict=True):
            assert caption == record[row]["caption"]
            assert np.array_equal(image, np.asarray(decode_rgb(record[row]["image"])))


# parts and threads


@BUFFERS
def test_the_parts_of_a_batch_are_the_whole_batch_and_none_decodes_another_s(pairs, buffer, decoded):
    whole = first(stream(pairs, buffer).batches(6), 7)
    parts = []
    for index in range(3):
        decoded.clear()
        part = stream(pairs, buffer, augmentation=Augmentation(flip=1)).batches(6, part=(index, 3))
        parts.append(first(part, 7))
        assert len(decoded) == 7 * 2
    for number, batch in enumerate(whole):
        shares = [part[number] for part in parts]
        assert [row for share in shares for row in share.rows] == batch.rows.tolist()
        assert [caption for share in shares for caption in share.captions] == batch.captions
        flipped = np.concatenate([share.images for share in shares])[:, :, ::-1]
        assert np.array_equal(flipped, batch.images)


def test_a_batch_that_cannot_be_divided_is_refused(pairs):
    with pytest.raises(ValueError, match="3 equal parts"):
        stream(pairs, 4).batches(4, part=(0, 3))


@BUFFERS
@pytest.mark.parametrize("workers", [1, 3])
def test_the_batches_are_the_same_for_every_number_of_threads(pairs, buffer, workers):
    options = {"augmentation": AUGMENTATION, "other_captions": True}
    alone = first(stream(pairs, buffer, **options).batches(4, skip=8, part=(1, 2)), 12)
    assert same(first(stream(pairs, buffer, workers=workers, **options).batches(4, skip=8, part=(1, 2)), 12), alone)
    plain = first(stream(pairs, buffer).batches(4), 12)
    assert same(first(stream(pairs, buffer, workers=workers).batches(4), 12), plain)


@pytest.mark.parametrize("shown", [0, 1, 5])
def test_closing_the_batches_ends_their_threads(pairs, shown):
    before = threading.active_count()
    batches = stream(pairs, 4, workers=2).batches(4)
    for _ in range(shown):
        next(batches)
    batches.close()
    assert threading.active_count() == before


def test_what_goes_wrong_in_a_thread_is_raised(pairs, monkeypatch):
    def broken(data):
        raise OSError("no pixels")

    monkeypatch.setattr(module, "decode_rgb", broken)
    before = threading.active_count()
    with pytest.raises(OSError, match="no pixels"):
        next(stream(pairs, 4, workers=2).batches(4))
    assert threading.active_count() == before


# what is decoded and held


@BUFFERS
def test_what_is_skipped_is_not_decoded(pairs, buffer, decoded):
    first(stream(pairs, buffer).batches(4, skip=8), 1)
    assert len(decoded) == 4


def test_a_training_set_that_fits_is_decoded_once_unless_augmented(pairs, decoded, monkeypatch):
    plain = first(stream(pairs, 100).batches(7), 6)
    assert len(decoded) == 14
    decoded.clear()
    first(stream(pairs, 100, augmentation=AUGMENTATION).batches(7), 6)
    assert len(decoded) == 42
    decoded.clear()
    monkeypatch.setattr(module, "DECODED_BYTES", 14 * 32 * 32 * 3 - 1)
    assert same(first(stream(pairs, 100).batches(7), 6), plain)
    assert len(decoded) == 42


class CountingStore(SampleStore):
    """Counts the rows that were read."""

    count = 0

    def read(self, rows, columns):
        for table in super().read(rows, columns):
            self.count += table.num_rows
            yield table


@pytest.mark.parametrize("workers", [0, 2])
def test_no_more_is_held_than_the_buffer_and_a_few_batches(tmp_path, write_batch, picture, workers):
    image = picture()
    rows = [(1 + i // 8) << 32 | i % 8 for i in range(800)]
    folder = write_batch(
        tmp_path / "s", SAMPLES, [{"row": r, "uid": "u", "caption": "c", "image": image} for r in rows]
    )
    store = CountingStore([folder])
    held = []
    with closing(PairStream(store, np.array(rows), 32, 40, 0, workers=workers).batches(4)) as batches:
        for shown, _ in enumerate(islice(batches, 150), start=1):
            if shown == 1:
                time.sleep(0.3)  # time in which threads could run far ahead
            held.append(store.count - 4 * shown)
    # held are the file that is being read and, with threads, the next batches
    assert 40 <= max(held) <= 40 + 8 + 4 * (module.BATCHES_AHEAD + 1)


# what is shown of a pair


@BUFFERS
def test_every_caption_of_an_image_is_shown_as_often_as_every_other(pairs, buffer):
    shown: dict[int, Counter[str]] = {r["row"]: Counter() for r in pairs[1]}
    for batch in first(stream(pairs, buffer, other_captions=True).batches(14), 300):
        for row, caption in zip(batch.rows.tolist(), batch.captions, strict=True):
            shown[row][caption] += 1
    for record in pairs[1]:
        captions = {record["caption"], *record["other_captions"]}
        assert set(shown[record["row"]]) == captions
        for count in shown[record["row"]].values():
            assert count == pytest.approx(300 / len(captions), abs=45)


def test_without_being_asked_for_other_captions_are_not_shown(pairs):
    own = {r["caption"] for r in pairs[1]}
    assert all(set(batch.captions) == own for batch in first(stream(pairs, 4).batches(14), 5))


@BUFFERS
def test_an_image_is_augmented_anew_in_every_epoch_and_the_same_for_the_same_seed(pairs, buffer):
    def views(seed: int) -> dict[int, list[bytes]]:
        found: dict[int, list[bytes]] = {}
        for batch in first(stream(pairs, buffer, seed, augmentation=AUGMENTATION).batches(14), 5):
            for row, image in zip(batch.rows.tolist(), batch.images, strict=True):
                found.setdefault(row, []).append(image.tobytes())
        return found

    one = views(0)
    assert all(len(set(images)) == 5 for images in one.values())
    assert views(0) == one != views(1)
