"""Labels and captions in one normal form."""

from __future__ import annotations

import numpy as np
import pytest

from dejavu.memorization.labels import NamedInCaption, Normalizer, label_sets


@pytest.mark.parametrize(
    "label", ["Traffic light", "traffic_light", "TRAFFIC LIGHTS", " traffic  light ", "traffic-light"]
)
def test_spellings_of_one_label_have_one_normal_form(label):
    assert Normalizer()(label) == "traffic light"


@pytest.mark.parametrize(
    ("plural", "singular"),
    [("dogs", "dog"), ("boxes", "box"), ("children", "child"), ("knives", "knife"), ("berries", "berry")],
)
def test_a_plural_label_is_its_singular(plural, singular):
    assert Normalizer()(plural) == Normalizer()(singular) == singular


@pytest.mark.parametrize(
    ("plural", "singular"),
    [("mice", "mouse"), ("skis", "ski"), ("taxis", "taxi"), ("selfies", "selfie"), ("hoodies", "hoodie")],
)
def test_an_uncommon_plural_is_one_label_with_its_singular(plural, singular):
    assert Normalizer()(plural) == Normalizer()(singular)


def test_the_short_plural_men_is_man():
    assert Normalizer()("men") == Normalizer()("man")


@pytest.mark.parametrize("word", ["glass", "bus", "gas", "dress", "octopus", "tennis"])
def test_a_singular_that_ends_in_s_stays_as_it_is(word):
    assert Normalizer()(word) == word


@pytest.mark.parametrize(
    ("plural", "singular"),
    [("canvases", "canvas"), ("lenses", "lens"), ("atlases", "atlas"), ("buses", "bus"), ("glasses", "glass")],
)
def test_a_word_whose_singular_ends_in_s_is_one_label_with_its_plural(plural, singular):
    assert Normalizer()(plural) == Normalizer()(singular)


def test_unicode_variants_of_a_letter_are_one_label():
    assert Normalizer()("cafe\u0301") == Normalizer()("CAF\u00c9")
    assert Normalizer()("\uff44\uff4f\uff47") == "dog"


@pytest.mark.parametrize("label", ["", "  ", "_", "!?"])
def test_a_label_without_a_word_is_empty(label):
    assert Normalizer()(label) == ""


def test_synonyms_are_normalised_on_both_sides():
    assert Normalizer({"Motor_Bikes": "Motorcycles"})("motor bike") == "motorcycle"


def test_chains_of_synonyms_are_followed_to_the_end():
    normal = Normalizer({"puppy": "hound", "hound": "dog", "dog": "animal"})
    assert {normal(label) for label in ("puppies", "hound", "dogs", "animal")} == {"animal"}


def test_a_synonym_of_itself_stays():
    assert Normalizer({"dogs": "dog"})("dog") == "dog"


def test_synonyms_in_a_circle_have_one_name():
    normal = Normalizer({"sofa": "couch", "couch": "settee", "settee": "sofa"})
    assert len({normal(label) for label in ("sofa", "couch", "settee")}) == 1


def test_a_caption_names_labels_in_plural_and_any_case():
    assert NamedInCaption(["dog", "ball", "cat"], Normalizer())("Two DOGS, a ball!") == {"dog", "ball"}


def test_a_caption_names_a_label_of_several_words_only_when_they_stand_together():
    named = NamedInCaption(["traffic light", "light"], Normalizer())
    assert named("the traffic lights are red") == {"traffic light", "light"}
    assert named("light traffic") == {"light"}
    assert named("traffic and light") == {"light"}


def test_a_label_inside_another_word_is_not_named():
    assert NamedInCaption(["cat", "car", "ant"], Normalizer())("the catalogue of carpets and plants") == set()


def test_a_caption_may_use_a_synonym_of_the_label():
    normal = Normalizer({"motor bike": "motorcycle", "scooter": "motor bike"})
    named = NamedInCaption(["motorcycle", "dog"], normal)
    assert named("three motor bikes") == named("a scooter") == named("one motorcycle") == {"motorcycle"}
    assert named("a bike") == set()


def test_no_label_is_named_where_there_is_none():
    assert NamedInCaption([], Normalizer())("a dog") == set()
    assert NamedInCaption(["dog"], Normalizer())("") == set()


def test_label_sets_sort_rows_and_drop_repeats_and_empty_labels():
    sets = label_sets([7, 3, 5], [["dog", "ant", "dog"], [""], ["cat"]])
    assert sets.rows.tolist() == [3, 5, 7]
    assert sets.names == ("ant", "cat", "dog")
    assert [sets.names_at(i) for i in range(3)] == [[], ["cat"], ["ant", "dog"]]
    assert sets.counts.tolist() == [0, 1, 2]


def test_label_sets_find_rows_and_say_where_one_is_absent():
    sets = label_sets([30, 10], [["dog"], ["cat"]])
    assert sets.indices_of(np.array([10, 11, 30, 99, 0])).tolist() == [0, -1, 1, -1, -1]
    assert label_sets([], []).indices_of(np.array([1, 2])).tolist() == [-1, -1]


def test_label_sets_expand_repeated_images_in_order():
    sets = label_sets([1, 2, 3], [["b", "a"], [], ["c"]])
    owner, label = sets.expand(np.array([2, 0, 1, 0]))
    assert owner.tolist() == [0, 1, 1, 3, 3]
    assert [sets.names[i] for i in label] == ["c", "a", "b", "a", "b"]


@pytest.mark.parametrize(
    ("caption", "named"),
    [
        ("一只狗在草地上奔跑", {"狗", "草地"}),
        ("红色汽车 and a dog", {"红色汽车", "dog"}),
        ("芝生を走る犬", {"犬"}),
        ("ボートの写真", {"ボート"}),
        ("สุนัขวิ่งบนหญ้า", {"สุนัข", "หญ้า"}),
        ("一個女人", set()),
    ],
)
def test_labels_are_named_in_scripts_without_blanks_between_words(caption, named):
    names = {"狗", "草地", "红色汽车", "犬", "ボート", "สุนัข", "หญ้า", "dog", "汽船"}
    assert NamedInCaption({Normalizer()(name) for name in names}, Normalizer())(caption) == named


def test_marks_of_vowels_are_parts_of_words():
    normal = Normalizer()
    assert normal("ปู่") != normal("ปู") != normal("ป")
    assert NamedInCaption([normal("कुत्ता")], normal)("एक कुत्ता घास पर") == {"कुत्ता"}
    assert NamedInCaption([normal("कु")], normal)("एक कुत्ता घास पर") == set()


@pytest.mark.parametrize(
    ("caption", "remainder"),
    [
        ("A brown DOG chases  a ball.", "A brown chases a ."),
        ("dogs", ""),
        ("", ""),
        ("  nothing\tof it \n", "nothing of it"),
        ("Caf\u00e9, two dogs", "Caf\u00e9, two"),
        ("\uff44\uff4f\uff47 and cafe\u0301", "and cafe\u0301"),
        ("一只狗在草地上奔跑", "一只在上奔跑"),
        ("red狗blue", "red blue"),
        ("the traffic lights of a fire ball hydrant", "the of a"),
    ],
)
def test_the_remainder_is_the_caption_without_the_words_that_name_labels(caption, remainder):
    named = NamedInCaption(["dog", "ball", "狗", "草地", "traffic light", "fire hydrant"], Normalizer())
    assert named.remainder(caption) == remainder
    assert named(remainder) == set()
