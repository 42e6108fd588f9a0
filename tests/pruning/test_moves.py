"""Kept sets: neighbours, climbing, resizing and random sets stay within a allowed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from spex_mech.core.limits import Limit
from spex_mech.core.masks import all_masks
from spex_mech.core.spectrum import Spectrum
from spex_mech.pruning import moves as kept_sets
from spex_mech.pruning.moves import AllowedSets, climb, neighbours, random_sets, resized, swaps


def surrogate_of(seed: int, n: int = 8) -> Spectrum:
    rng = np.random.default_rng(seed)
    sets = [s for k in (1, 2, 3) for s in itertools.combinations(range(n), k)]
    return Spectrum.from_supports(sets, rng.normal(size=len(sets)), n)


def rows(masks: np.ndarray) -> set[bytes]:
    return {row.tobytes() for row in masks}


def test_swaps_keep_the_size():
    near = swaps(np.array([True, True, False, False, False]))
    assert near.shape == (6, 5) and (near.sum(axis=1) == 2).all()
    assert len(rows(near)) == 6


def test_neighbours_are_all_allowed_sets_one_swap_or_player_away():
    everything, weights = all_masks(6), np.array([1.0, 2, 1, 2, 1, 2])
    mask = np.array([True, True, False, True, False, False])
    for keep, reach in ((3, (2,)), (None, (1, 2))):
        allowed = AllowedSets(6, keep, (Limit(weights, 5.0),))
        apart = (everything ^ mask).sum(axis=1)
        same = everything.sum(axis=1) == 3
        # two players apart is a swap only where the size is the same
        one_move = np.isin(apart, reach) & ((apart == 1) | same)
        expected = everything[one_move & (everything @ weights <= 5.0)]
        surrogate = surrogate_of(0, 6)
        sets, values = neighbours(mask, allowed, surrogate)
        assert rows(sets) == rows(expected) and len(sets) == len(expected)
        np.testing.assert_allclose(values, surrogate(sets), atol=1e-12)


def test_one_group_is_exchanged_for_another():
    pairs = [((0, 1), 1.0), ((2, 3), 1.0), ((4, 5), 1.0)]
    limit = Limit(np.zeros(6), 1.0, "groups", pairs)
    one = np.array([True, True, False, False, False, False])
    best = Spectrum.from_supports([(4,), (5,), (0,)], [-1.0, -1.0, -0.5], 6)
    sets, values = neighbours(one, AllowedSets(6, 2, (limit,)), best)
    assert rows(sets) == rows(np.array([[0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]], dtype=bool))
    np.testing.assert_allclose(values, best(sets))
    # A swap of single heads cannot leave the pair that it is in; the climb has to.
    np.testing.assert_array_equal(climb(best, one, AllowedSets(6, 2, (limit,))), [0, 0, 0, 0, 1, 1])


@pytest.mark.parametrize("seed", range(4))
def test_a_climb_ends_where_no_neighbour_is_better(seed):
    surrogate, allowed = surrogate_of(seed), AllowedSets(8, 4)
    start = np.arange(8) < 4
    top = climb(surrogate, start, allowed)
    value = surrogate(top[None])[0]
    assert value >= surrogate(start[None])[0]
    assert value >= neighbours(top, allowed, surrogate)[1].max() - 1e-9


def test_many_players_are_screened(monkeypatch):
    surrogate = surrogate_of(0)
    mask = np.arange(8) < 4
    everything, _ = neighbours(mask, AllowedSets(8, 4), surrogate)
    monkeypatch.setattr(kept_sets, "_MANY_SWAPS", 10)
    monkeypatch.setattr(kept_sets, "_FEW_PLAYERS", 2)
    few, _ = neighbours(mask, AllowedSets(8, 4), surrogate)
    assert len(few) == 4 and rows(few) < rows(everything)
    without = np.array([surrogate((mask & (np.arange(8) != i))[None])[0] for i in range(4)])
    assert set(np.argsort(-without)[:2]) == {int(np.flatnonzero(mask & ~row)[0]) for row in few}


def test_resizing_is_greedy():
    single = Spectrum.from_supports([(i,) for i in range(5)], [-5.0, -4, -3, -2, -1], 5)
    full, none = np.ones(5, bool), np.zeros(5, bool)
    np.testing.assert_array_equal(resized(single, full, AllowedSets(5, 2)), [1, 1, 0, 0, 0])
    np.testing.assert_array_equal(resized(single, none, AllowedSets(5, 3)), [1, 1, 1, 0, 0])
    heavy = Limit(np.array([3.0, 1, 1, 1, 1]), 3.0, "memory")
    # The least missed go first, until the limit holds: 4, 3, 2 and then, still too heavy, 1.
    np.testing.assert_array_equal(
        resized(single, full, AllowedSets(5, None, (heavy,))), [1, 0, 0, 0, 0]
    )
    assert resized(single, full, AllowedSets(5, 2, (Limit(np.full(5, 2.0), 3.0),))) is None
    # Upwards player 0 comes first and leaves no room for a second.
    assert resized(single, none, AllowedSets(5, 2, (heavy,))) is None


@pytest.mark.parametrize("keep", [None, 3])
def test_random_sets_are_allowed_and_differ(keep):
    limit = Limit(np.arange(8.0), 12.0, groups=[((0, 1), 2.0)])
    allowed = AllowedSets(8, keep, (limit,))
    found = random_sets(allowed, 20, np.random.default_rng(0))
    assert allowed.allows(found).all() and len(rows(found)) > 5
    plain = random_sets(AllowedSets(8, 3), 20, np.random.default_rng(0))
    assert (plain.sum(axis=1) == 3).all() and plain.shape == (20, 8)
