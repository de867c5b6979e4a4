"""Draws that are made block by block have the distribution of draws that are made at once."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from scipy import stats

from dejavu.memorization import draws as drawing
from dejavu.memorization.gaps import Values, bootstrap, by_group, samplings, sign_flip_p_value
from dejavu.memorization.permutation import joint_test

DRAWS = 3_000
BLOCKS = [3, 2, 2]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def whole(blocks: Iterator[drawing.Parts]) -> np.ndarray:
    """The weights of all blocks side by side, (draws, groups)."""
    return np.concatenate([np.concatenate([weights for _, weights in parts]) for parts in blocks], axis=1)


def believable(drawn: np.ndarray, chances: dict[tuple[int, ...], float]) -> bool:
    """Whether rows may well be draws of outcomes with these chances; no other outcome may be drawn."""
    counts = Counter(map(tuple, drawn.astype(int).tolist()))
    assert set(counts) <= set(chances), "something impossible was drawn"
    expected = np.array([chance * len(drawn) for chance in chances.values()])
    assert expected.sum() == pytest.approx(len(drawn))
    # outcomes that are hardly ever drawn are counted together
    rare = expected < 5
    seen = np.array([counts[outcome] for outcome in chances])
    pooled = [np.append(numbers[~rare], numbers[rare].sum()) for numbers in (seen, expected)]
    kept = pooled[1] > 0
    return stats.chisquare(pooled[0][kept], pooled[1][kept]).pvalue > 1e-3


def equally_likely(outcomes: list[tuple[int, ...]]) -> dict[tuple[int, ...], float]:
    return dict.fromkeys(outcomes, 1 / len(outcomes))


def subsets_of(places: list[int], number: int, groups: int) -> list[tuple[int, ...]]:
    chosen = itertools.combinations(places, number)
    return [tuple(int(i in these) for i in range(groups)) for these in chosen]


@pytest.mark.parametrize("blocks", [[4], [2, 2], [1, 2, 1]])
def test_resamples_in_blocks_are_multinomial(blocks):
    outcomes = [counts for counts in itertools.product(range(5), repeat=4) if sum(counts) == 4]
    chances = {counts: float(stats.multinomial.pmf(counts, 4, [0.25] * 4)) for counts in outcomes}
    assert believable(whole(drawing.resamples(blocks, DRAWS, rng())), chances)


@pytest.mark.parametrize("blocks", [[7], BLOCKS])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_every_subset_in_blocks_is_equally_likely(blocks, size):
    chances = equally_likely(subsets_of(list(range(7)), size, 7))
    drawn = whole(drawing.subsets(blocks, size, DRAWS, rng()))
    assert len(chances) == 1 or believable(drawn, chances)
    assert (drawn.sum(axis=1) == size).all()


@pytest.mark.parametrize("blocks", [[5], [2, 3]])
def test_every_choice_of_signs_in_blocks_is_equally_likely(blocks):
    chances = equally_likely(list(itertools.product((-1, 1), repeat=5)))
    assert believable(whole(drawing.signs(blocks, DRAWS, rng())), chances)


@pytest.mark.parametrize("fewest", [1, 3, 100])
@pytest.mark.parametrize("blocks", [[7], BLOCKS])
def test_every_permutation_within_layers_in_blocks_is_equally_likely(blocks, fewest, monkeypatch):
    monkeypatch.setattr(drawing, "FEWEST_ONE_BY_ONE", fewest)
    member = np.array([1, 1, 1, 0, 0, 0, 0], dtype=bool)
    drawn = whole(drawing.relabelings(blocks, member, None, DRAWS, rng()))
    assert believable(drawn, equally_likely(subsets_of(list(range(7)), 3, 7)))
    layers = np.array([5, 9, 5, 5, 9, 9, 5])
    of_five, of_nine = subsets_of([0, 2, 3, 6], 2, 7), subsets_of([1, 4, 5], 1, 7)
    outcomes = [tuple(np.add(one, two).tolist()) for one in of_five for two in of_nine]
    drawn = whole(drawing.relabelings(blocks, member, layers, DRAWS, rng(1)))
    assert believable(drawn, equally_likely(outcomes))


def test_subsets_of_a_large_block_take_no_place_and_no_pair_more_often_than_others():
    number, size, draws = 600, 200, 4000
    drawn = whole(drawing.subsets([number, 300], size + 100, draws, rng()))[:, :number]
    share = (size + 100) / 900
    # what differs between places is noise: the variance over places is that of a share of so many draws
    spread = drawn.mean(axis=0).var() / (share * (1 - share) / draws)
    assert spread == pytest.approx(1, abs=0.2)
    # sums of half of the places vary as the hypergeometric distribution says
    half = drawn[:, ::2].sum(axis=1)
    assert half.var() == pytest.approx(stats.hypergeom(900, 300, size + 100).var(), rel=0.1)


def values(number: int = 230, columns: int = 3) -> Values:
    generator = rng(7)
    groups = np.append(np.arange(number), generator.integers(0, number, 60))
    return by_group(generator.normal(0.05, 1, size=(len(groups), columns)), groups, number)


def test_one_block_is_drawn_as_a_matrix_of_all_groups_by_all_draws():
    of, draws = values(), 40
    weights = rng().multinomial(of.number, np.full(of.number, 1 / of.number), size=draws)
    assert np.array_equal(bootstrap(of, draws, rng()), (weights @ of.sums) / (weights @ of.sizes))
    generator, chosen = rng(), np.zeros((draws, of.number))
    for row in chosen:
        row[generator.choice(of.number, size=23, replace=False)] = 1
    assert np.array_equal(samplings(of, draws, 0.1, rng()), (chosen @ of.sums) / (chosen @ of.sizes))
    flipped = (rng().integers(0, 2, size=(draws, of.number)) * 2.0 - 1.0) @ of.sums
    extreme = (np.abs(flipped) >= np.abs(of.sums.sum(axis=0)) - 1e-12).sum(axis=0)
    assert np.array_equal(sign_flip_p_value(of, draws, rng()), (1 + extreme) / (draws + 1))


def statistics_of(of: Values, other: Values, draws: int) -> dict[str, np.ndarray]:
    """Everything that is drawn for two roles."""
    strata = np.arange(of.number) % 3, np.arange(other.number) % 3
    family = np.ones(3, dtype=bool)
    plain, listed = (joint_test(of, other, family, draws, rng(2), strata=layers) for layers in (None, strata))
    return {
        "bootstrap": bootstrap(of, draws, rng()),
        "samplings": samplings(of, draws, 0.3, rng(1)),
        "sign flips": sign_flip_p_value(of, draws, rng(3)),
        "p": np.array([plain.p_value, listed.p_value]),
        "joint": np.array([plain.p_joint, listed.p_joint]),
        "error": np.array([plain.std_error, listed.std_error]),
        "value": np.array([of.value, plain.value, of.count, of.totals.squares]),
    }


def test_blocks_give_what_one_block_gives_but_for_chance(monkeypatch):
    of, other = values(), values(150)
    at_once = statistics_of(of, other, 2000)
    monkeypatch.setattr(drawing, "GROUPS_PER_BLOCK", 64)
    in_blocks = statistics_of(of, other, 2000)
    assert in_blocks["value"] == pytest.approx(at_once["value"], abs=1e-12)
    for name in ("bootstrap", "samplings"):
        assert in_blocks[name].std(axis=0) == pytest.approx(at_once[name].std(axis=0), rel=0.08)
        error = np.sqrt(2 / 2000) * at_once[name].std(axis=0)
        assert (np.abs(in_blocks[name].mean(axis=0) - at_once[name].mean(axis=0)) < 4 * error).all()
        assert not np.array_equal(in_blocks[name], at_once[name])
    assert in_blocks["error"] == pytest.approx(at_once["error"], rel=0.08)
    for name in ("sign flips", "p", "joint"):
        assert in_blocks[name] == pytest.approx(at_once[name], abs=0.05)


@pytest.mark.parametrize("groups_per_block", [64, 1000])
def test_what_is_held_at_once_changes_no_draw(groups_per_block, monkeypatch):
    monkeypatch.setattr(drawing, "GROUPS_PER_BLOCK", groups_per_block)
    blocks, member = drawing.block_sizes(230), np.arange(230) < 100
    kinds: list[Callable[[], Iterator[drawing.Parts]]] = [
        lambda: drawing.resamples(blocks, 17, rng()),
        lambda: drawing.subsets(blocks, 40, 17, rng()),
        lambda: drawing.signs(blocks, 17, rng()),
        lambda: drawing.relabelings(blocks, member, None, 17, rng()),
        lambda: drawing.relabelings(blocks, member, np.arange(230) // 90, 17, rng()),
    ]
    drawn, results = [], []
    for cells in (1, 500, 10**7):
        monkeypatch.setattr(drawing, "CELLS_PER_PART", cells)
        drawn.append([whole(kind()) for kind in kinds])
        results.append(statistics_of(values(), values(150), 50))
    for others, of_others in zip(drawn[1:], results[1:], strict=True):
        assert all(map(np.array_equal, drawn[0], others))
        for name in results[0]:
            assert of_others[name] == pytest.approx(results[0][name], abs=1e-12), name
