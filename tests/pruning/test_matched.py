"""`matched`: a set of the same size that is as good as the full model."""

from __future__ import annotations

import numpy as np
import pytest

from spex_mech.core.errors import InputError
from spex_mech.evaluation.wrappers import Metered
from spex_mech.pruning.matched import matched
from tests.shared.planted_game import Planted

N = 40
HELPS = np.where(np.arange(N) < 20, 1.0, -0.5)  # the best half is far above the full model
BEST = np.arange(N) < 20


def game(budget: int = 7) -> Metered:
    return Metered(Planted(N, lambda present: present @ HELPS), budget)


def test_a_matched_set_is_near_the_full_model_and_no_larger():
    asked = game()
    found = matched(asked, BEST, HELPS)
    assert asked.spent <= 7  # the full model, the set, and five steps
    full, high, near = game()(np.stack([np.ones(N, dtype=bool), BEST, found]))
    assert found.sum() == BEST.sum() and high > full + 5
    assert abs(near - full) <= 0.75  # one exchange is worth 1.5


def test_what_hurts_most_is_taken_back_first():
    scores = np.where(np.arange(N) < 20, 1.0 + np.arange(N), -1.0 - np.arange(N))
    asked = Metered(Planted(N, lambda present: present @ scores), 7)
    found = matched(asked, BEST, scores)
    exchanged = int((BEST & ~found).sum())
    assert exchanged > 1
    assert set(np.flatnonzero(BEST & ~found)) == set(range(exchanged))
    assert set(np.flatnonzero(~BEST & found)) == set(range(N - exchanged, N))


def test_a_set_below_the_full_model_stays():
    asked = game()
    np.testing.assert_array_equal(matched(asked, ~BEST, HELPS), ~BEST)
    assert asked.spent == 2


def test_shapes_and_steps_are_checked():
    with pytest.raises(InputError, match="steps is 0"):
        matched(game(), BEST, HELPS, steps=0)
    with pytest.raises(InputError, match="one set of players"):
        matched(game(), BEST[None], HELPS)
    with pytest.raises(InputError, match=r"shape \(1, 3\), expected \(rankings, 40\)"):
        matched(game(), BEST, HELPS[:3])
