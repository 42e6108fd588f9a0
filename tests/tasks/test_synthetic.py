"""Synthetic games are their spectrum."""

from __future__ import annotations

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.tasks.cards import load_game
from spex_mech.tasks.synthetic import plant


def test_cards_of_games():
    peak = load_game("games/peak")
    assert [len(s) for s in peak.spectrum.supports] == [5] * 10
    assert peak.players.n == 100
    masks = np.random.default_rng(0).random((7, 100)) < 0.5
    signs = [[(-1.0) ** sum(row[list(s)]) for s in peak.spectrum.supports] for row in masks]
    np.testing.assert_allclose(peak(masks), np.array(signs) @ peak.spectrum.coefficients)
    assert peak.fingerprint == load_game("games/peak").fingerprint
    assert peak.fingerprint != load_game("games/sparse").fingerprint
    run = sm.evaluate(peak, sm.designs.uniform(100, 5, seed=0))
    np.testing.assert_array_equal(run.values, peak(run.masks))


def test_a_hierarchy_has_all_subsets():
    found = {frozenset(s) for s in load_game("games/hierarchy").spectrum.supports}
    for members in found:
        for gone in members:
            rest = members - {gone}
            assert not rest or rest in found


def test_bad_games():
    with pytest.raises(ValueError, match=r"3 sets of degrees .* degrees from 1 to 4"):
        plant(players=4, sets=3, degrees=(5,), hierarchy=False, seed=0)
    with pytest.raises(ValueError, match="there are not 5 sets"):
        plant(players=4, sets=5, degrees=(4,), hierarchy=False, seed=0)
    with pytest.raises(ValueError, match=r"'games/peak' is a synthetic game .*load_game"):
        sm.load_task("games/peak")
    with pytest.raises(ValueError, match="'mmlu' has questions; load it with load_task"):
        load_game("mmlu")
