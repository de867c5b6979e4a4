"""Text randomization: what is hidden of captions, how often, and what stands in its place."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import open_clip
import pytest
import torch
from open_clip.tokenizer import HFTokenizer

from dejavu.errors import InputError
from dejavu.training.draws import Purpose
from dejavu.training.marks import Marks
from dejavu.training.text import TextRandomizer

# of one token each
CAPTION = (
    "red blue dog cat star ring sea tree house bird fish apple river mountain book table window flower cloud stone"
)
WORDS = CAPTION.split()
INVENTED = "valomirebi tanuzoke fidolumase gerakobeti"
REPLACEMENTS = pytest.mark.parametrize("replace", ["nothing", "mask", "random"])


@pytest.fixture(scope="module")
def clip():
    return open_clip.get_tokenizer("ViT-B-32")


@pytest.fixture(scope="module")
def wordpiece(tmp_path_factory):
    """A tokenizer of Hugging Face with a mask token; what it does not know as a word it spells."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    letters = [mark + chr(code) for code in range(97, 123) for mark in ("", "##")]
    vocabulary = {piece: i for i, piece in enumerate([*special.values(), *letters, *WORDS])}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=made, **{f"{name}_token": token for name, token in special.items()}
    )
    folder = tmp_path_factory.mktemp("wordpiece")
    wrapped.save_pretrained(folder)
    return HFTokenizer(str(folder), context_length=48)


@pytest.fixture(params=["clip", "wordpiece"])
def tokenizer(request):
    return request.getfixturevalue(request.param)


def between(tokenizer, tokens: torch.Tensor) -> list[int]:
    """The tokens between start and end; what follows is checked to be padding."""
    wrapped = getattr(tokenizer, "tokenizer", None)
    start, end = (49406, 49407) if wrapped is None else (wrapped.cls_token_id, wrapped.sep_token_id)
    ids = tokens.tolist()
    stop = ids.index(end)
    assert ids[0] == start
    assert not any(ids[stop + 1 :])
    return ids[1:stop]


def words_of(tokenizer, tokens: torch.Tensor) -> list[str]:
    wrapped = getattr(tokenizer, "tokenizer", tokenizer)
    return wrapped.decode(between(tokenizer, tokens)).split()


def shown(tokenizer, caption: str = CAPTION, rows=range(400), epoch: int = 0, **how) -> list[list[str]]:
    """The words of a caption as it is shown for each row."""
    how = {"mask": 0.5, "seed": 0} | how
    randomized = TextRandomizer(tokenizer, **how)([caption] * len(rows), [epoch] * len(rows), list(rows))
    return [words_of(tokenizer, tokens) for tokens in randomized]


@pytest.mark.parametrize("unit", ["words", "tokens"])
def test_without_masking_the_tokens_are_the_tokenizer_s(tokenizer, unit):
    captions = [CAPTION, INVENTED, "", "  a  red\tdog "]
    found = TextRandomizer(tokenizer, mask=0, unit=unit, replace="random", seed=0)(captions, [0] * 4, [1, 2, 3, 4])
    assert found.dtype == torch.int64
    assert torch.equal(found, tokenizer(captions))


@pytest.mark.parametrize("unit", ["words", "tokens"])
def test_what_is_left_of_a_caption_is_in_order_and_never_nothing(tokenizer, unit):
    for kept in shown(tokenizer, mask=0.95, unit=unit):
        places = [WORDS.index(word) for word in kept]
        assert places == sorted(set(places))
        assert places
    assert shown(tokenizer, "dog", mask=0.99, unit=unit, rows=[5]) == [["dog"]]
    assert shown(tokenizer, "", unit=unit, rows=[5]) == [[]]


@REPLACEMENTS
@pytest.mark.parametrize("unit", ["words", "tokens"])
@pytest.mark.parametrize("ratio", [0.1, 0.6])
def test_the_share_that_is_hidden_is_the_ratio(clip, unit, replace, ratio):
    own = between(clip, clip([CAPTION])[0])
    randomizer = TextRandomizer(clip, mask=ratio, unit=unit, replace=replace, seed=0)
    found = [between(clip, tokens) for tokens in randomizer([CAPTION] * 400, [0] * 400, range(400))]
    if replace == "nothing":
        kept = sum(map(len, found))
    else:
        assert {len(tokens) for tokens in found} == {len(own)}
        kept = sum(now == was for tokens in found for now, was in zip(tokens, own, strict=True))
    assert 1 - kept / (400 * len(own)) == pytest.approx(ratio, abs=0.02)


def test_every_word_is_hidden_as_often_as_every_other(clip):
    kept = Counter(word for words in shown(clip, rows=range(1000)) for word in words)
    assert set(kept) == set(WORDS)
    assert min(kept.values()) > 430
    assert max(kept.values()) < 570


@REPLACEMENTS
@pytest.mark.parametrize("unit", ["words", "tokens"])
def test_what_is_hidden_is_drawn_by_seed_epoch_and_row_alone(clip, unit, replace):
    one, two = (TextRandomizer(clip, mask=0.5, unit=unit, replace=replace, seed=seed) for seed in (0, 1))
    alone = one([CAPTION], [0], [7])[0]
    epochs, rows = [0, 1, 0, 0], [7, 7, 8, 7]
    again, *others = one([CAPTION] * 4, epochs, rows)[[3, 1, 2]]
    assert torch.equal(again, alone)
    for other in (*others, two([CAPTION], [0], [7])[0]):
        assert not torch.equal(other, alone)


def test_words_are_hidden_by_the_draws_of_numpy_s_default_generator(clip):
    row = 5 << 32 | 9
    draws = np.random.default_rng([3, 2, row]).random(len(WORDS))
    expected = [word for word, draw in zip(WORDS, draws, strict=True) if draw >= 0.6]
    assert shown(clip, mask=0.6, seed=3, epoch=2, rows=[row]) == [expected]


@pytest.mark.parametrize("unit", ["words", "tokens"])
def test_the_masks_of_queries_are_none_of_those_of_training(clip, unit):
    rows, times = range(50), range(20)

    def masks(row: int, purpose: Purpose) -> set[tuple[int, ...]]:
        randomizer = TextRandomizer(clip, mask=0.5, unit=unit, seed=0, purpose=purpose)
        return {tuple(tokens) for tokens in randomizer([CAPTION] * 20, list(times), [row] * 20).tolist()}

    for row in rows:
        trained, asked = masks(row, Purpose.TEXT_MASK), masks(row, Purpose.QUERY_MASK)
        assert len(trained) == len(asked) == 20
        assert not trained & asked


# what stands in the place of what is hidden


def test_hidden_words_become_the_word_mask_where_the_tokenizer_has_no_mask_token(clip):
    assert {word for words in shown(clip, replace="mask") for word in words} == {*WORDS, "mask"}


@pytest.mark.parametrize("unit", ["words", "tokens"])
def test_the_tokenizer_s_own_mask_token_is_taken_where_it_has_one(wordpiece, unit):
    found = TextRandomizer(wordpiece, mask=0.5, unit=unit, replace="mask", seed=0)([CAPTION], [0], [0])[0]
    own = between(wordpiece, wordpiece([CAPTION])[0])
    hidden = [now for now, was in zip(between(wordpiece, found), own, strict=True) if now != was]
    assert hidden
    assert set(hidden) == {wordpiece.tokenizer.mask_token_id}


def test_a_mask_token_that_cleaning_would_break_is_not_taken_for_words(wordpiece):
    def lowered(texts):
        return wordpiece([text.lower() for text in texts])

    lowered.tokenizer = wordpiece.tokenizer
    found = TextRandomizer(lowered, mask=0.5, replace="mask", seed=0)([CAPTION], [0], [0])[0]
    assert "mask" in wordpiece.tokenizer.decode(found).replace(" ##", "")
    assert not {wordpiece.tokenizer.mask_token_id, wordpiece.tokenizer.unk_token_id} & set(found.tolist())


@pytest.mark.parametrize("unit", ["words", "tokens"])
def test_random_words_are_whole_and_random_tokens_never_special(tokenizer, unit):
    randomizer = TextRandomizer(tokenizer, mask=0.9, unit=unit, replace="random", seed=0)
    own = between(tokenizer, tokenizer([CAPTION])[0])
    drawn: Counter[int] = Counter()
    for tokens in randomizer([CAPTION] * 100, [0] * 100, range(100)):
        # between() has found one start, one end and only padding after it
        found = between(tokenizer, tokens)
        assert len(found) == len(own)
        drawn.update(now for now, was in zip(found, own, strict=True) if now != was)
    assert len(drawn) > 40 if unit == "tokens" or hasattr(tokenizer, "encoder") else set(drawn) >= set(own)
    for token in drawn if unit == "words" else ():
        # a word of one token, which tokenizes to itself
        text = getattr(tokenizer, "tokenizer", tokenizer).decode([token]).strip()
        assert text.isalpha()
        assert between(tokenizer, tokenizer([text])[0]) == [token]


# tokens


def test_parts_of_a_word_are_hidden_where_the_unit_is_tokens(tokenizer):
    own = between(tokenizer, tokenizer([INVENTED])[0])
    assert len(own) > 8
    randomizer = TextRandomizer(tokenizer, mask=0.5, unit="tokens", seed=0)
    lengths = set()
    for tokens in randomizer([INVENTED] * 200, [0] * 200, range(200)):
        rest = iter(own)
        found = between(tokenizer, tokens)
        assert all(token in rest for token in found)
        lengths.add(len(found))
    assert len(lengths) > 5


def test_of_a_caption_that_is_too_long_tokens_are_hidden_of_what_is_taken(tokenizer):
    captions = [CAPTION * 20]
    whole = between(tokenizer, tokenizer(captions)[0])
    found = between(tokenizer, TextRandomizer(tokenizer, mask=0.5, unit="tokens", seed=0)(captions, [0], [0])[0])
    assert 0.25 * len(whole) < len(found) < 0.75 * len(whole)


def padded_left(texts: list[str]) -> torch.Tensor:
    rows = [[1, *(ord(character) for character in text[:10]), 2] for text in texts]
    return torch.tensor([[0] * (12 - len(row)) + row for row in rows])


def with_a_last_token(texts: list[str]) -> torch.Tensor:
    rows = [[1, *(ord(character) for character in text[:9]), 2] for text in texts]
    return torch.tensor([row + [0] * (11 - len(row)) + [3] for row in rows])


@pytest.mark.parametrize("tokenizer", [padded_left, with_a_last_token])
def test_a_tokenizer_without_a_clear_frame_serves_for_words_alone(tokenizer):
    with pytest.raises(InputError, match="set text_mask_unit to words"):
        TextRandomizer(tokenizer, mask=0.5, unit="tokens", seed=0)
    assert TextRandomizer(tokenizer, mask=0.5, unit="words", seed=0)(["a b"], [0], [0]).shape == (1, 12)


def test_a_tokenizer_whose_end_is_its_padding_serves_for_tokens():
    def siglip(texts: list[str]) -> torch.Tensor:
        return torch.tensor([([ord(character) for character in text[:11]] + [1] * 12)[:12] for text in texts])

    found = TextRandomizer(siglip, mask=0.5, unit="tokens", seed=0)(["abcdefgh"], [0], [1])[0].tolist()
    kept = [token for token in found if token != 1]
    assert 0 < len(kept) < 8
    assert kept == sorted(set(kept))
    assert found == kept + [1] * (12 - len(kept))


def test_a_tokenizer_without_what_is_asked_for_is_refused():
    def letters(texts: list[str]) -> torch.Tensor:
        rows = [[1, *(ord(character) for character in text[:10]), 2] for text in texts]
        return torch.tensor([row + [0] * (12 - len(row)) for row in rows])

    letters.tokenizer = SimpleNamespace(get_vocab=lambda: {"##a": 97}, all_special_ids=[])
    with pytest.raises(InputError, match="neither a mask token nor 'mask' as one token"):
        TextRandomizer(letters, mask=0.5, unit="tokens", replace="mask", seed=0)
    with pytest.raises(InputError, match="no whole words"):
        TextRandomizer(letters, mask=0.5, unit="words", replace="random", seed=0)


# dropout


@pytest.mark.parametrize(("mask", "unit"), [(0, "words"), (0.5, "words"), (0.5, "tokens")])
def test_captions_are_left_empty_as_often_as_asked_and_anew_in_every_epoch(clip, mask, unit):
    one, other = (
        [not words for words in shown(clip, mask=mask, unit=unit, dropout=0.3, epoch=epoch, rows=range(1000))]
        for epoch in (0, 1)
    )
    assert sum(one) / 1000 == pytest.approx(0.3, abs=0.05)
    assert sum(a and b for a, b in zip(one, other, strict=True)) / 1000 == pytest.approx(0.09, abs=0.03)


def test_dropout_leaves_the_masks_of_other_captions_as_they_are(clip):
    plain, dropped = shown(clip), shown(clip, dropout=0.5)
    assert all(words in ([], same) for words, same in zip(dropped, plain, strict=True))
    # whether a caption is dropped says nothing about its words
    kept = [words for words in dropped if words]
    assert sum(words[0] == WORDS[0] for words in kept) / len(kept) == pytest.approx(0.5, abs=0.12)


MARKS = {
    "clip": ["<end_of_text>", "<START_OF_TEXT>", "&lt;end_of_text&gt;", "&amp;lt;end_of_text&amp;gt;",
             "＜end_of_text＞"],
    "wordpiece": ["[SEP]", "[PAD]", "[CLS]", "[MASK]", "[UNK]"],
}  # fmt: skip


def test_a_caption_that_holds_the_tokenizer_s_marks_is_read_as_text_to_its_end(request, tokenizer):
    own = getattr(tokenizer, "tokenizer", tokenizer)
    special = set(own.all_special_ids)
    for mark in MARKS[request.node.callspec.params["tokenizer"]]:
        caption = f"dog {mark} {mark} ring"
        assert special & set(tokenizer([caption])[0, 1:-1].tolist()), mark
        for how in ({"mask": 0.0}, {"mask": 1e-9}, {"mask": 1e-9, "unit": "tokens"}):
            tokens = between(tokenizer, TextRandomizer(tokenizer, seed=0, **how)([caption], [0], [0])[0])
            words = own.decode(tokens).split()
            assert (words[0], words[-1]) == ("dog", "ring"), (mark, how)
            assert not special & set(tokens) - ({own.unk_token_id} if hasattr(own, "unk_token_id") else set())


def test_angle_brackets_and_entities_that_are_no_marks_stay(tokenizer):
    captions = ["a < b > c", "fish &amp; ring", "<b>dog</b>", "[dog]", "＜sea＞"]
    assert Marks(tokenizer).broken(captions) == captions
