"""Races: what they drop, what they cost, and how often they drop the best."""

from __future__ import annotations

import numpy as np
import pytest

from spex_mech.core.errors import InputError, NonFiniteScoreError
from spex_mech.core.masks import all_masks
from spex_mech.pruning.race import Racing, racing_of
from tests.shared.quiz import Quiz

SIX = all_masks(12)[all_masks(12).sum(axis=1) == 6]


def candidates(count: int, seed: int) -> np.ndarray:
    return SIX[np.random.default_rng(seed).permutation(len(SIX))[:count]]


def truth(game: Quiz, masks: np.ndarray) -> np.ndarray:
    return game.values_from_scores(game.scores(masks))


def alike(seed: int) -> Quiz:
    """A game in which nothing but chance differs between masks, and only by question."""
    game = Quiz(12, 60, own=1.0, seed=seed)
    game.effects[:], game.strength[:] = 0, 0
    game.own = np.random.default_rng(seed).normal(size=game.own.shape)
    return game


@pytest.mark.parametrize(("count", "winners"), [(2, 1), (9, 1), (9, 3)])
def test_the_best_are_dropped_as_rarely_as_is_said(count, winners):
    """The hardest case: candidates whose means hardly differ, and every difference is one of questions."""
    races, wrong, rows = 100, 0, 0
    for seed in range(races):
        game, masks = alike(seed), candidates(count, seed)
        racing = Racing(game, errors=0.2)
        race = racing.race(masks, rng=np.random.default_rng(seed), winners=winners)
        best = np.argsort(-truth(game, masks))[:winners]
        wrong += not race.alive[best].all()
        rows += racing.memory.rows
    # At a true rate of 0.2 there are more than 29 in one of a hundred repetitions.
    assert wrong <= 29
    assert rows < races * count * 60


def test_the_best_of_those_that_beat_a_champion_is_dropped_as_rarely():
    races, wrong = 100, 0
    for k in range(races):
        game, masks = alike(1000 + k), candidates(5, k)
        values = truth(game, masks)
        masks = masks[np.argsort(values)]  # the worst is the champion
        race = Racing(game, errors=0.2).race(masks, rng=np.random.default_rng(k), champion=True)
        wrong += not race.alive[-1]
    assert wrong <= 29


def test_most_rows_are_saved_where_candidates_differ_by_more_than_questions():
    rows = 0
    for seed in range(20):
        game, masks = Quiz(12, 60, own=0.3, seed=seed), candidates(9, seed)
        racing = Racing(game)
        race = racing.race(masks, rng=np.random.default_rng(seed))
        best = truth(game, masks)
        assert race.alive[best.argmax()]
        assert race.asked[race.alive].min() == 60
        np.testing.assert_allclose(race.values[race.alive], best[race.alive], atol=1e-5)
        assert np.corrcoef(race.values, best)[0, 1] > 0.9
        rows += racing.memory.rows
    assert rows < 0.4 * 20 * 9 * 60


def test_questions_come_in_stages_the_same_ones_for_all_and_none_twice():
    game, masks = Quiz(12, 60, own=2.0, seed=3), candidates(6, 0)
    racing = Racing(game)
    race = racing.race(masks, rng=np.random.default_rng(5))
    assert set(race.asked.tolist()) <= {4, 8, 16, 32, 60}
    assert len(set(game.asked)) == len(game.asked) == racing.memory.rows == race.asked.sum()
    by_mask = [{q for mask, q in game.asked if mask == m.tobytes()} for m in masks]
    order = np.random.default_rng(5).permutation(60)
    assert by_mask == [set(order[:count].tolist()) for count in race.asked]
    again = racing.race(masks, rng=np.random.default_rng(5))
    assert len(game.asked) == racing.memory.rows
    np.testing.assert_array_equal(again.values, race.values)


@pytest.mark.parametrize("rows", [60, 61, 100, 150, 300])
def test_no_more_rows_than_given_and_one_candidate_ends(rows):
    game, masks = Quiz(12, 60, own=3.0, seed=1), candidates(9, 0)
    racing = Racing(game)
    race = racing.race(masks, rng=np.random.default_rng(0), rows=rows)
    assert racing.memory.rows <= rows
    assert race.alive.any() and (race.asked[race.alive] == 60).all()
    assert np.isnan(race.values[race.asked == 0]).all()
    if rows == 60:
        assert race.asked.tolist() == [60] + [0] * 8


def test_a_race_without_an_end_stops_when_it_is_decided():
    game, masks = Quiz(12, 60, own=0.02, seed=1), candidates(9, 0)
    racing = Racing(game)
    race = racing.race(masks, rng=np.random.default_rng(0), winners=2, finish=False)
    assert set(np.flatnonzero(race.alive)) == set(np.argsort(-truth(game, masks))[:2])
    assert race.asked.max() < 60


def test_differences_that_never_vary_drop_nobody():
    game, masks = Quiz(12, 60, own=0.0, seed=1), candidates(4, 0)
    game.effects, game.strength = np.arange(12.0), np.zeros(12)
    race = Racing(game).race(masks, rng=np.random.default_rng(0))
    assert race.alive.all() and (race.asked == 60).all()
    game.own = np.zeros_like(game.own)
    game.own[:, 0] = 1.0  # of every question alike
    assert Racing(game).race(masks, rng=np.random.default_rng(0)).alive.all()


def test_a_mask_that_is_dear_to_begin_with_is_not_begun_for_little():
    assert Racing(Quiz(12, 60)).first == 4
    assert Racing(Quiz(12, 60, mask_cost=15.0)).first == 15
    assert racing_of(Quiz(12, 60, mask_cost=80.0), "auto") is None
    assert racing_of(Quiz(12, 4), "auto") is None
    assert racing_of(Quiz(12, 60), "all") is None
    assert racing_of(lambda masks: masks.sum(axis=1), "auto") is None


def test_bad_input():
    with pytest.raises(InputError, match=r"errors is 1\.5, expected a chance between 0 and 1"):
        Racing(Quiz(12, 60), errors=1.5)
    with pytest.raises(InputError, match="questions is '7', expected 'all', or 'auto'"):
        racing_of(Quiz(12, 60), "7")
    game = Quiz(12, 60)
    game.level[7] = np.nan
    with pytest.raises(
        NonFiniteScoreError, match="question 'q7' has the value nan under a mask of 6"
    ):
        Racing(game).race(candidates(2, 0), rng=np.random.default_rng(0))
