"""Labels and captions in one normal form."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from dejavu.data.vocabulary import SHIPPED, read_vocabulary
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


# another library made the table once; where the rules disagreed with it, a person decided
PLURALS = [
    tuple(line.split())
    for line in (Path(__file__).parent / "plurals.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


def test_nouns_and_their_plurals_are_one_label():
    normal = Normalizer()
    assert len(PLURALS) > 2_000
    assert [pair for pair in PLURALS if len(set(map(normal, pair))) > 1] == []


@pytest.mark.parametrize("vocabulary", SHIPPED)
def test_a_label_that_comes_along_is_one_with_its_plural_and_its_normal_form(vocabulary):
    normal, plurals = Normalizer(), dict(PLURALS)
    named = named_in(vocabulary)
    asked = 0
    for label in read_vocabulary(vocabulary):
        first, last = "".join(label.rpartition(" ")[:2]), label.rpartition(" ")[2].lower()
        assert normal(normal(label)) == normal(label), label
        if last in plurals:
            asked += 1
            assert normal(first + plurals[last]) == normal(label), label
            assert normal(label) in named(f"two {first}{plurals[last]}\u2019s"), label
    assert asked > 0.8 * len(read_vocabulary(vocabulary))


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
    assert named("a motor") == set()


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
        ("Dog, ball!", ""),
        ("", ""),
        ("  nothing\tof it \n", "nothing of it"),
        ("Caf\u00e9, two dogs", "Caf\u00e9, two"),
        ("\uff44\uff4f\uff47 and cafe\u0301", "and cafe\u0301"),
        ("一只狗在草地上奔跑", "一只在上奔跑"),
        ("red狗blue", "red blue"),
        ("the traffic lights of a stop ball sign", "the of a"),
    ],
)
def test_the_remainder_is_the_caption_without_the_words_that_name_labels(caption, remainder):
    named = NamedInCaption(["dog", "ball", "狗", "草地", "traffic light", "stop sign"], Normalizer())
    assert named.remainder(caption) == remainder
    assert named(remainder) == set()


@cache
def named_in(vocabulary):
    normal = Normalizer()
    return NamedInCaption({normal(label) for label in read_vocabulary(vocabulary)}, normal)


def named_of(vocabulary, caption):
    return named_in(vocabulary)(caption)


# a caption in the style of COCO -> the labels of COCO that it names, as a person judged
CAPTIONS = [
    ("A man riding a wave on top of a surfboard.", "person, surfboard"),
    ("Two women sitting on a sofa watching television", "person, couch, tv"),
    ("Baseball players on a field with a catcher's mitt", "person, baseball glove"),
    ("A motorbike parked next to a brick wall", "motorcycle"),
    ("The kitchen has a fridge, a stove and a microwave oven", "refrigerator, oven, microwave"),
    ("A glass of wine and a plate of food", "wine glass"),
    ("The dog's frisbee landed in the grass", "dog, frisbee"),
    ("A hot dog with mustard in a bun", "hot dog"),
    ("Some hot-dogs and two dogs", "hot dog, dog"),
    ("An orange cat sleeping on a blanket", "cat"),
    ("An orange and white kitten", "cat"),
    ("A bowl of oranges and bananas", "bowl, orange, banana"),
    ("A glass bottle stands beside a slice of orange", "bottle, orange"),
    ("The orange juice is in a pitcher on the dining room table", "dining table"),
    ("A teddy bear wearing a bow tie", "teddy bear, tie"),
    ("The bear's cub climbs a tree", "bear"),
    ("A baby elephant walks beside its mother", "elephant"),
    ("The men\u2019s skis are stuck in the snow", "person, skis"),
    ("A jetliner flies over a double-decker bus", "airplane, bus"),
    ("Several sheep and lambs graze near a cow", "sheep, cow"),
    ("A fire truck is parked by the hydrant", "truck, fire hydrant"),
    ("A boy with a tooth brush in his mouth", "person, toothbrush"),
    ("Laptop, computer mouse, and keyboard on a desk", "laptop, mouse, keyboard"),
    ("A girl talks on her cellphone beside a stroller", "person, cell phone"),
    ("A tennis player swinging her racquet at the ball", "person, tennis racket, sports ball"),
    ("The stop light is red above the stop sign", "traffic light, stop sign"),
    ("A roll of toilet paper on the floor", ""),
    ("Seagulls are flying around a sailboat", "bird, boat"),
    ("Two wine glasses, knives, forks and doughnuts", "wine glass, knife, fork, donut"),
    ("A black and white photo of an empty street", ""),
]


def judged(named):
    return set(map(Normalizer(), named.split(", "))) - {""}


def test_captions_name_what_people_say_that_they_name():
    # known errors: a pitcher of juice is taken for a pitcher of baseball, and an elephant's mother for a person
    wrong = [caption for caption, named in CAPTIONS if named_of("coco", caption) != judged(named)]
    assert len(CAPTIONS) == 30 and len(wrong) <= 2, wrong


@pytest.mark.parametrize(("caption", "named"), CAPTIONS)
def test_no_object_that_a_caption_names_counts_as_a_secret(caption, named):
    assert judged(named) <= named_of("coco", caption)


@pytest.mark.parametrize(
    ("vocabulary", "caption", "named"),
    [
        ("open_images", "a man on a horse", {"man", "person", "horse", "animal", "mammal"}),
        ("lvis", "a man on a sofa", {"person", "sofa"}),
        ("coco", "a helicopter", set()),
        ("coco", "an aircraft", {"airplane"}),
        ("open_images", "a fruit", {"fruit", "food"}),
        ("coco", "a couple of dogs", {"dog"}),
        (
            "coco",
            "the dogs' bowl, the cat\u02bcs chair, the men's tie",
            {"dog", "bowl", "cat", "chair", "person", "tie"},
        ),
        ("coco", "a sky, orange at dusk", {"orange"}),
        ("coco", "he is a hot dog, dog", {"person", "hot dog", "dog"}),
        ("coco", "TVs", {"tv"}),
        ("coco", "teddybear, fire-hydrant, WINEGLASS, lap top", {"teddy bear", "fire hydrant", "wine glass", "laptop"}),
    ],
)
def test_words_name_what_they_are_a_kind_of_and_nothing_below(vocabulary, caption, named):
    assert named_of(vocabulary, caption) == named


def test_a_phrase_uses_up_its_words_also_where_no_label_of_it_is_there():
    named = NamedInCaption(["dog", "bear", "orange", "glass"], Normalizer())
    assert named("a hot dog, a teddy bear, orange juice, a bear") == {"bear"}


def test_a_synonym_of_the_configuration_adds_to_the_words_that_come_along():
    normal = Normalizer({"whippet": "dog", "man": "someone else"})
    named = NamedInCaption(["dog", "someone else"], normal)
    assert named("a whippet") == named("a puppy") == {"dog"}
    assert named("a guy") == named("men") == {"someone else"}


@pytest.mark.parametrize(
    ("label", "caption", "other"),
    [
        ("狗", "一只狗在草地上", "一只猫在草地上"),
        ("犬", "芝生を走る犬", "芝生を走る猫"),
        ("ボール", "ホ\u3099ールと子供", "ホールと子供"),
        ("ปู", "ปูบนหาด", "ปู่บนหาด"),
        ("ម្ហូប", "ម្ហូបឆ្ងាញ់", "មហូប"),
        ("कुत्ता", "एक कुत्ता घास पर", "एक कुत्तागाड़ी"),
        ("كلب", "الكَلْب يجري", "كلبان يجريان"),
        ("كتاب", "طفل وكتابٌ", "كتابة"),
        ("개", "개가 달린다", "개미 한 마리"),
        ("고양이", "고양이들을 본다", "고양"),
        ("собака", "Собака бежит", "собакам"),
        ("σκύλος", "Ο ΣΚΎΛΟΣ τρέχει", "σκύλα"),
        ("כלב", "הכלב רץ", "כלבים"),
        ("chien", "l\u2019homme et les chiens", "chienne"),
        ("homme", "L\u2019homme", "hommage"),
        ("café", "CAFE\u0301S", "cafe"),
        ("con chó", "hai con cho\u0301", "con cho"),
    ],
)
def test_labels_are_named_as_whole_words_in_any_script(label, caption, other):
    normal = Normalizer()
    named = NamedInCaption([normal(label)], normal)
    assert named(caption) == {normal(label)}
    assert normal(label) and normal(label) not in named(named.remainder(caption))
    assert named(other) == set()


@pytest.mark.parametrize(
    ("caption", "named"),
    [
        ("d\u00adog and \ufeffcat", {"dog", "cat"}),
        ("\u200bdog\u200bcat", {"dog", "cat"}),
        ("<b>dog</b>&amp;cat", {"dog", "cat"}),
        ("dog_cat.jpg", {"dog", "cat"}),
        ("\U0001f415 dog\ufe0f", {"dog"}),
        ("''dog''", {"dog"}),
        ("\u0301dog", set()),
        ("\udcff dog", {"dog"}),
        ("dog" * 1000, set()),
        ("dog " * 1000, {"dog"}),
        ("'" * 1000, set()),
        ("hot " * 1000 + "dog", {"hot dog"}),
    ],
)
def test_hostile_captions_are_read_like_others(caption, named):
    found = NamedInCaption(["dog", "cat", "hot dog"], Normalizer())
    assert found(caption) == named
    assert found(found.remainder(caption)) == set()


def test_the_words_that_come_along_can_be_left_out():
    normal = Normalizer({"whippet": "dog"})
    named = NamedInCaption(["dog", "person", "hot dog"], normal, caption_words=False)
    assert named("a man with a puppy and a teddy bear") == set()
    assert named("a whippet with a hot dog") == {"dog", "hot dog"}
