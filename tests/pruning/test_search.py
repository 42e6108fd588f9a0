"""Spending true ablations: what is asked, remembered and preferred."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest

from spex_mech.core.errors import InputError, NonFiniteScoreError
from spex_mech.core.masks import all_masks
from spex_mech.core.spectrum import Spectrum
from spex_mech.pruning.moves import AllowedSets
from spex_mech.pruning.search import candidates, resize_sets, search_sets
from spex_mech.pruning.state import SearchState

N = 9
NONE = np.zeros((0, N), dtype=bool)


def random_spectrum(seed: int) -> Spectrum:
    rng = np.random.default_rng(seed)
    sets = [s for k in (1, 2) for s in itertools.combinations(range(N), k)]
    return Spectrum.from_supports(sets, rng.normal(size=len(sets)), N)


class Counting:
    def __init__(self, truth):
        self.truth, self.calls = truth, []

    def __call__(self, masks):
        self.calls.append(masks)
        return self.truth(masks)


@dataclass(frozen=True)
class Known:
    masks: np.ndarray
    values: np.ndarray


def test_masks_are_asked_once_and_known_ones_never():
    truth = random_spectrum(0)
    masks = all_masks(N)[:20]
    game = Counting(truth)
    state = SearchState(game, truth, Known(masks[:5], truth(masks[:5])))
    state.ablate(np.concatenate([masks[:8], masks[6:8]]))
    state.ablate(masks[4:10])
    assert [len(x) for x in game.calls] == [3, 2] and state.spent == 5 and state.count == 10
    np.testing.assert_array_equal(state.masks, masks[5:10])
    np.testing.assert_array_equal(state.is_new(masks), np.arange(20) >= 10)
    best, values = state.best(AllowedSets(N, None), 3)
    np.testing.assert_array_equal(values, np.sort(truth(masks[:10]))[::-1][:3])
    np.testing.assert_array_equal(truth(best), values)
    one, _ = state.best(AllowedSets(N, 1), 20)
    assert (one.sum(axis=1) == 1).all() and len(one) == (masks[:10].sum(axis=1) == 1).sum()


def test_known_values_do_not_correct_the_surrogate_that_was_fitted_to_them():
    truth, surrogate = random_spectrum(1), random_spectrum(2)
    masks = all_masks(N)[::3]
    state = SearchState(truth, surrogate, Known(masks, truth(masks)))
    np.testing.assert_array_equal(state.full(masks), surrogate(masks))
    state.ablate(all_masks(N)[1:40:3])
    assert np.abs(state.full(state.masks) - state.values).max() < 0.2 * np.ptp(state.values)


def test_candidates_of_a_true_surrogate_begin_with_the_best_set():
    truth, allowed = random_spectrum(3), AllowedSets(N, 4)
    state = SearchState(truth, truth)
    four = all_masks(N)[all_masks(N).sum(axis=1) == 4]
    pool = candidates(state, allowed, four[::9], boldness=0.0)
    assert truth(pool[:1])[0] == truth(four).max()
    assert (np.diff(truth(pool)) <= 1e-12).all() and allowed.allows(pool).all()
    assert len(np.unique(pool, axis=0)) == len(pool)
    assert candidates(state, allowed, NONE, boldness=0.0).shape == (0, N)


def test_exploring_finds_the_best_set_from_a_useless_surrogate():
    truth, allowed = random_spectrum(4), AllowedSets(N, 4)
    nothing = Spectrum.from_supports([()], [0.0], N)
    game = Counting(truth)
    state = SearchState(game, nothing)
    search_sets(state, allowed, 50, starts=NONE, rng=np.random.default_rng(0))
    four = all_masks(N)[all_masks(N).sum(axis=1) == 4]  # 126 sets
    assert state.spent == 50 and all(allowed.allows(x).all() for x in game.calls)
    assert state.best(allowed)[1][0] == truth(four).max()


def test_exploring_ends_when_nothing_is_left():
    truth, allowed = random_spectrum(5), AllowedSets(N, 1)
    state = SearchState(truth, truth)
    search_sets(state, allowed, 100, starts=NONE, rng=np.random.default_rng(0))
    assert state.spent == N


def test_sets_are_carried_to_another_size():
    truth = Spectrum.from_supports([(i,) for i in range(N)], -np.arange(1.0, N + 1), N)
    state = SearchState(truth, truth)
    found = resize_sets(state, AllowedSets(N, 2), np.stack([np.ones(N, bool), np.arange(N) < 4]))
    assert [np.flatnonzero(row).tolist() for row in found] == [[7, 8], [2, 3]]
    assert resize_sets(state, AllowedSets(N, 2), NONE).shape == (0, N)


class Scored:
    """A game of 40 examples: a truth plus each example's own noise; its claim is how often that is > 0."""

    def __init__(self, truth):
        self.truth = truth
        rng = np.random.default_rng(8)
        self.own = [random_spectrum(int(s)) for s in rng.integers(100, 10_000, 40)]

    def scores(self, masks):
        return np.stack([0.1 * self.truth(masks) + own(masks) for own in self.own], axis=1)

    def per_example(self, scores, metric=None):
        return (scores > 0).astype(float) if metric == "accuracy" else scores

    def __call__(self, masks):
        return self.scores(masks).mean(axis=1)


def test_a_claim_decides_among_sets_that_noise_cannot_tell_apart():
    game, allowed = Scored(random_spectrum(6)), AllowedSets(N, 4)
    four = all_masks(N)[all_masks(N).sum(axis=1) == 4]
    state = SearchState(game, random_spectrum(7), claim="accuracy")
    state.ablate(four)
    table = game.scores(four)
    gap = table[table.mean(axis=1).argmax()] - table
    near = gap.mean(axis=1) <= gap.std(axis=1, ddof=1) / np.sqrt(40) + 1e-12
    right = (table > 0).mean(axis=1)
    mask, value = state.best_by_claim(allowed)
    row = int(np.flatnonzero((four == mask).all(axis=1))[0])
    assert near[row] and right[row] == right[near].max() and near.sum() > 1
    assert value == pytest.approx(table[row].mean())
    assert SearchState(game, random_spectrum(7)).best_by_claim(allowed) is None


def test_a_claim_counts_known_scores_and_needs_a_game_that_has_them():
    game, allowed = Scored(random_spectrum(6)), AllowedSets(N, 4)
    four = all_masks(N)[all_masks(N).sum(axis=1) == 4]

    @dataclass(frozen=True)
    class Run(Known):
        scores: np.ndarray

    run = Run(four, game(four), game.scores(four))
    asked = SearchState(game, random_spectrum(7), claim="accuracy")
    asked.ablate(four)
    known = SearchState(game, random_spectrum(7), run, claim="accuracy")
    np.testing.assert_array_equal(known.best_by_claim(allowed)[0], asked.best_by_claim(allowed)[0])
    with pytest.raises(InputError, match="claim='accuracy' needs the scores of single questions"):
        SearchState(random_spectrum(6), random_spectrum(7), claim="accuracy")


def test_answers_that_are_no_values():
    truth = random_spectrum(0)
    with pytest.raises(NonFiniteScoreError, match="value of a mask of 1 players is nan"):
        SearchState(lambda masks: np.full(len(masks), np.nan), truth).ablate(np.eye(N, dtype=bool))
    with pytest.raises(InputError, match=r"answered shape \(9, 2\) for 9 masks"):
        SearchState(lambda masks: np.zeros((len(masks), 2)), truth).ablate(np.eye(N, dtype=bool))
