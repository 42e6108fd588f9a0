"""`find_keep_rates`: the pilot is evaluated once, and is part of the design."""

from __future__ import annotations

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.core.errors import InputError


class Counting:
    """A game that is at chance with fewer than 70 % of 60 players."""

    fingerprint = "counting"

    def __init__(self) -> None:
        self.masks = 0

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        self.masks += len(masks)
        return 10.0 * np.maximum(masks.mean(axis=1) - 0.7, 0.0)


def test_pilot_is_evaluated_once(tmp_path):
    game = Counting()
    rates = sm.find_keep_rates(game, 200, n=60, store=tmp_path / "store", seed=1)
    assert len(rates.design) == 200
    assert game.masks == len(rates.run.design) == 10
    assert 0.55 < rates.low < 0.8
    assert "a pilot of 10 masks" in rates.message
    sm.evaluate(game, rates.design, store=tmp_path / "store")
    assert game.masks == len(np.unique(rates.design.masks, axis=0))
    before = game.masks
    again = sm.find_keep_rates(game, 200, n=60, store=tmp_path / "store", seed=1)
    assert game.masks == before
    np.testing.assert_array_equal(again.design.masks, rates.design.masks)


def test_small_budgets_have_no_pilot():
    game = Counting()
    rates = sm.find_keep_rates(game, 40, n=60)
    assert game.masks == 0
    assert rates.run is None
    assert len(rates.design) == 40
    assert "below 80 masks" in rates.message


def test_a_number_of_players_is_needed():
    with pytest.raises(InputError, match="how many players"):
        sm.find_keep_rates(Counting(), 200)


def test_explain_goes_on_from_the_pilot():
    game = Counting()
    explained = sm.explain(game, budget=300, n=60, keep_rate="auto", target_r2=0.5)
    spent = len(explained.run.design)
    assert explained.keep_rates is not None
    assert game.masks <= spent < 300
    np.testing.assert_array_equal(explained.run.masks[:15], explained.keep_rates.run.masks)
    with pytest.raises(InputError, match="expected 'auto'"):
        sm.explain(game, budget=300, n=60, keep_rate="often")
