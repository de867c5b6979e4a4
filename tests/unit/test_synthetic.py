"""The embedded data: drawn pairs."""

from __future__ import annotations

import pytest

from dejavu.data.forms.base import file_bounds
from dejavu.data.images import open_image
from dejavu.data.synthetic import make_pairs, make_world


def test_a_synthetic_pair_depends_on_seed_and_number_alone():
    world = make_world(3)
    together = list(make_pairs(world, 0, 6))
    alone = [next(make_pairs(make_world(3), i, i + 1)) for i in (5, 2, 0)]
    assert alone == [together[5], together[2], together[0]]


def test_another_seed_gives_other_synthetic_pairs():
    one, other = (next(make_pairs(make_world(seed), 0, 1)) for seed in (3, 4))
    assert one["image"] != other["image"]
    assert one["caption"] != other["caption"]
    assert one["key"] != other["key"]


def test_a_synthetic_caption_names_true_objects_and_boxes_lie_in_the_image():
    for pair in make_pairs(make_world(0), 0, 20, size=64):
        labels = [found["label"] for found in pair["objects"]]
        assert 4 <= len(labels) == len(set(labels)) <= 7
        assert labels[0] in pair["caption"]
        assert open_image(pair["image"]).size == (64, 64)
        for left, top, right, bottom in (found["box"] for found in pair["objects"]):
            assert 0 <= left < right <= 64
            assert 0 <= top < bottom <= 64


def test_several_synthetic_captions_say_the_same_in_other_words():
    world = make_world(0)
    for single, several in zip(make_pairs(world, 0, 30), make_pairs(world, 0, 30, captions=7), strict=True):
        captions = several.pop("caption")
        assert captions[0] == single.pop("caption")
        assert several == single
        named = {o["label"] for o in single["objects"] if o["label"] in captions[0]}
        invented = [frozenset(word.strip(",:") for word in text.split()) & set(world.words) for text in captions]
        assert all(len(words) == 3 for words in invented)
        assert len(set(invented)) == len(set(captions)) == 7
        for text in captions:
            assert {o["label"] for o in single["objects"] if o["label"] in text} == named
            assert several["scene"] in text


@pytest.mark.parametrize(("pairs", "files"), [(10, 3), (7, 7), (1000, 6)])
def test_synthetic_files_hold_every_pair_once_in_nearly_equal_parts(pairs, files):
    bounds = [file_bounds(pairs, files, i) for i in range(files)]
    assert [n for low, high in bounds for n in range(low, high)] == list(range(pairs))
    sizes = [high - low for low, high in bounds]
    assert max(sizes) - min(sizes) <= 1
