"""Pruning: the best set is found, budgets are kept, validation only improves."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.core.limits import Limit
from spex_mech.core.masks import all_masks
from spex_mech.pruning.integer_program import best_set
from spex_mech.pruning.moves import swaps
from spex_mech.pruning.prune import ranked


def game_of(seed: int, n: int = 10):
    """A random game with interactions up to order 3, as a spectrum."""
    rng = np.random.default_rng(seed)
    sets = [s for k in (1, 2, 3) for s in itertools.combinations(range(n), k)]
    chosen = [sets[i] for i in rng.choice(len(sets), 40, replace=False)]
    return sm.Spectrum.from_supports(chosen, rng.normal(size=40), n)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("keep", [1, 4, 9, 10])
def test_swap_search_finds_the_best_set_of_a_known_surrogate(seed, keep):
    spectrum = game_of(seed)
    pruned = sm.prune(spectrum, spectrum, keep=keep, validate=0, seed=0)
    table = all_masks(10)
    best = spectrum(table[table.sum(axis=1) == keep]).max()
    assert pruned.mask.sum() == keep and pruned.ablations == 0 and pruned.measured is None
    assert pruned.predicted == pytest.approx(best)


def test_validation_repairs_a_wrong_surrogate_within_its_budget():
    truth, wrong = game_of(0), game_of(0)
    noise = np.random.default_rng(1).normal(size=len(wrong))
    wrong = sm.Spectrum.from_words(wrong.words, wrong.coefficients + 0.7 * noise, 10)
    asked = []

    def game(masks):
        asked.append(len(masks))
        return truth(masks)

    blind = truth(sm.prune(game, wrong, keep=5, validate=0, seed=0).mask[None])[0]
    assert not asked
    checked = sm.prune(game, wrong, keep=5, validate=60, seed=0)
    assert sum(asked) == checked.ablations <= 60
    assert checked.measured == pytest.approx(truth(checked.mask[None])[0])
    assert checked.measured > blind + 0.1


def test_a_ranking_keeps_the_highest_scores():
    np.testing.assert_array_equal(ranked(np.array([0.1, 3, 2, -1]), 2), [False, True, True, False])


def test_swaps_keep_the_size():
    near = swaps(np.array([True, True, False, False, False]))
    assert near.shape == (6, 5) and (near.sum(axis=1) == 2).all()
    assert len({row.tobytes() for row in near}) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 0}, "keep is 0, expected a number of players from 1 to 10"),
        ({"keep": 11}, "keep is 11"),
        ({"keep": 5, "validate": -1}, "validate is -1"),
        ({}, "give keep=, a number or share of players to keep, or limits="),
        ({"keep": 1.5}, "keep is 1.5, expected an integer from 1 to 10, or a share"),
        ({"keep": True}, "keep is True, expected an integer"),
        ({"keep": 5, "claim": "accuracy"}, "claim='accuracy' needs the scores"),
    ],
)
def test_bad_budgets(options, message):
    with pytest.raises(ValueError, match=message):
        sm.prune(game_of(0), game_of(0), **options)


def test_a_spectrum_of_other_players(tiny_llama):
    task = sm.TokenTask([[1, 2, 3]])
    game = sm.TaskGame(tiny_llama, task, sm.select_players(tiny_llama))
    with pytest.raises(ValueError, match="the spectrum has 10 players, the game 12"):
        sm.prune(game, game_of(0), keep=3)


@pytest.mark.parametrize("validate", [0, 40])
def test_limits_are_kept_and_the_best_set_within_them_is_found(validate):
    spectrum = game_of(3)
    weights = np.random.default_rng(0).uniform(1.0, 3.0, size=10)
    limit = Limit(weights, 9.0, "memory")
    asked = []

    def game(masks):
        asked.append(masks)
        return spectrum(masks)

    pruned = sm.prune(game, spectrum, keep=5, limits=[limit], validate=validate, seed=0)
    table = all_masks(10)
    allowed = table[(table.sum(axis=1) == 5) & (table @ weights <= 9.0)]
    assert pruned.predicted == pytest.approx(spectrum(allowed).max())
    assert pruned.optimum.value == pytest.approx(spectrum(allowed).max())
    assert all((masks @ weights <= 9.0).all() for masks in asked)
    with pytest.raises(sm.InputError, match="satisfies the limits"):
        sm.prune(game, spectrum, keep=5, limits=[Limit(weights, 2.0)], validate=0)


def test_without_limits_no_integer_program_is_solved():
    spectrum = game_of(4)
    pruned = sm.prune(spectrum, spectrum, keep=5, validate=0)
    assert pruned.optimum is None
    assert best_set(spectrum, keep=5).value == pytest.approx(pruned.predicted)


def test_limits_are_kept_where_the_terms_are_too_many_for_the_integer_program(monkeypatch):
    spectrum = game_of(3)
    weights = np.random.default_rng(0).uniform(1.0, 3.0, size=10)
    limit = Limit(weights, 9.0, "memory")
    monkeypatch.setattr("spex_mech.pruning.integer_program.MAX_PRODUCTS", 10)
    pruned = sm.prune(spectrum, spectrum, keep=5, limits=[limit], validate=40, seed=0)
    table = all_masks(10)
    allowed = table[(table.sum(axis=1) == 5) & (table @ weights <= 9.0)]
    assert pruned.optimum is None
    assert pruned.measured == pytest.approx(spectrum(allowed).max())
    with pytest.raises(
        sm.InputError, match="products of players, an integer program takes at most 10"
    ):
        best_set(spectrum, keep=5, limits=[limit])
    with pytest.raises(sm.InputError, match="memory takes at least"):
        sm.prune(spectrum, spectrum, keep=5, limits=[Limit(weights, 2.0, "memory")], validate=0)


@pytest.mark.parametrize("share", [0.5, 0.34, 0.05])
def test_a_share_is_rounded_down_to_one_at_least(share):
    spectrum = game_of(1)
    pruned = sm.prune(spectrum, spectrum, keep=share, validate=0)
    assert pruned.mask.sum() == max(1, int(share * 10))


def test_a_budget_of_limits_alone_finds_the_best_of_all_sizes():
    spectrum = game_of(2)
    weights = np.random.default_rng(1).uniform(1.0, 3.0, size=10)
    limit = Limit(weights, 8.0, "memory", [((0, 1, 2), 1.0)])
    pruned = sm.prune(spectrum, spectrum, limits=[limit], validate=20)
    table = all_masks(10)
    assert pruned.measured == pytest.approx(spectrum(table[limit.allows(table)]).max())
    assert pruned.optimum.gap == 0.0


def test_the_winner_is_the_best_that_was_ablated_and_ties_go_to_the_surrogate():
    truth = game_of(4)

    def rough(masks):
        return np.round(truth(masks) / 4) * 4  # as an accuracy on few questions

    pruned = sm.prune(rough, truth, keep=5, validate=60, seed=0)
    table = all_masks(10)
    five = table[table.sum(axis=1) == 5]
    assert pruned.measured == rough(five).max()
    assert pruned.expected == pytest.approx(pruned.measured, abs=4.0)


def test_ablations_on_the_way_down_are_part_of_the_budget():
    truth = game_of(5)
    asked = []

    def game(masks):
        asked.append(masks)
        return truth(masks)

    pruned = sm.prune(game, truth, keep=3, validate=50, seed=0)
    sizes = np.concatenate(asked).sum(axis=1)
    assert len(sizes) == pruned.ablations == 50
    assert sizes.min() == 3 and len({*sizes}) >= 5 and (sizes == 3).sum() >= 30


def test_known_values_of_another_game_are_refused():
    def one(masks):
        return masks.sum(axis=1) * 1.0

    def other(masks):
        return masks[:, 0] * 1.0

    design = sm.designs.uniform(6, 20, seed=0)
    run = sm.evaluate(one, design)
    spectrum = sm.decode(design, run.values, method="lasso", order=1)
    assert sm.prune(one, spectrum, keep=3, validate=4, known=run).keep == 3
    with pytest.raises(sm.InputError, match="evaluated with another"):
        sm.prune(other, spectrum, keep=3, validate=4, known=run)
