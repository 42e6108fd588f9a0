"""Circuits that share little, on planted games whose circuits are known."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.core.masks import all_masks
from spex_mech.pruning.alternatives import alternative_circuits
from tests.shared.planted_game import Planted


def two_ways(x):
    """Player 4 is needed, and beside it either 0 and 1 or 2 and 3."""
    return x[4] * max(x[0] * x[1], 0.95 * x[2] * x[3]) + 0.01 * x[5]


def exact(game):
    return sm.exact_spectrum(game(all_masks(game.players.n)))


def test_two_circuits_with_one_player_in_common():
    game = Planted(9, two_ways)
    spectrum = exact(game)
    game.asked = 0
    found = alternative_circuits(game, spectrum, keep=3, count=2, validate=40, seed=0, test=game)
    assert [np.flatnonzero(m).tolist() for m in found.masks] == [[0, 1, 4], [2, 3, 4]]
    assert found.values.tolist() == [1.0, 0.95]
    assert np.flatnonzero(found.common).tolist() == [4]
    assert found.without_common == pytest.approx(0.01) and found.full == pytest.approx(1.01)
    np.testing.assert_allclose(found.overlap, [[1, 0.2], [0.2, 1]])
    assert [c.alone.mean for c in found.tested] == [1.0, 0.95]
    assert "in all of them: p4" in str(found) and "share 0.20 to 0.20" in str(found)


def test_no_mask_is_evaluated_twice_and_the_number_is_told():
    game = Planted(9, two_ways)
    spectrum = exact(game)
    game.asked = 0
    found = alternative_circuits(game, spectrum, keep=3, count=2, validate=30, seed=0)
    assert game.asked == found.ablations <= 2 + 30 + 30 + 1 and found.tested == ()


@pytest.mark.parametrize("seed", range(3))
def test_the_second_shares_as_little_as_any_set_of_the_value(seed):
    """Compared with all sets of the size, on a game with a wide choice of circuits."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.5, 1.5, 10)
    game = Planted(10, lambda x: np.sqrt(x @ weights))
    found = alternative_circuits(
        game, exact(game), keep=4, count=2, tolerance=0.15, validate=90, seed=seed
    )
    sets = np.array([[i in c for i in range(10)] for c in combinations(range(10), 4)])
    good = sets[game(sets) >= found.at_least]
    assert (found.masks[0] & found.masks[1]).sum() == (good & found.masks[0]).sum(axis=1).min()


def test_where_there_is_no_other_circuit_the_only_one_is_given():
    game = Planted(8, lambda x: x[0] * x[1] * x[2])
    found = alternative_circuits(game, exact(game), keep=3, count=3, validate=60, seed=0)
    assert len(found.masks) == 1 and np.flatnonzero(found.common).tolist() == [0, 1, 2]
    assert found.without_common == 0


def test_a_spectrum_with_a_full_model_is_searched_by_it():
    game = Planted(9, two_ways)
    design = sm.designs.biased(9, 200, keep_rate=0.6, seed=0)
    spectrum = sm.decode(design, game(design.masks), method="walsh_gp", seed=0)
    assert spectrum.predictor is not None
    found = alternative_circuits(game, spectrum, keep=3, count=2, validate=40, seed=0)
    assert [np.flatnonzero(m).tolist() for m in found.masks] == [[0, 1, 4], [2, 3, 4]]


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"keep": 9}, "fewer players than all 9"),
        ({"count": 1}, "count is 1"),
        ({"validate": 0}, "validate 0"),
        ({"tolerance": 1}, "tolerance is 1"),
        ({"keep": 0}, "keep is 0"),
    ],
)
def test_mistakes(told, message):
    game = Planted(9, two_ways)
    spectrum = sm.Spectrum.from_supports([(0,)], [1.0], 9)
    with pytest.raises(sm.InputError, match=message):
        alternative_circuits(game, spectrum, **{"keep": 3, **told})
    assert game.asked == 0
    harmful = Planted(9, lambda x: -x.sum())
    with pytest.raises(sm.InputError, match="keep more players"):
        alternative_circuits(harmful, spectrum, keep=3, validate=5)
