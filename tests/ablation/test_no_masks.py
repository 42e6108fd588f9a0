"""A game of a model asked about no masks at all."""

from __future__ import annotations

import numpy as np
import pytest

import spex_mech as sm


@pytest.mark.parametrize(
    ("answers", "metric"),
    [([[1, 2], [3, 4]], "margin"), ([[1, 2], [3, 4]], "kl"), (None, "logprob")],
)
def test_no_masks_have_no_values(tiny_llama, answers, metric):
    task = sm.TokenTask([[1, 2, 5], [3, 4, 6]], answers=answers)
    game = sm.TaskGame(tiny_llama, task, sm.select_players(tiny_llama, "layers"), metric=metric)
    none, one = (np.ones((m, game.players.n), dtype=bool) for m in (0, 1))
    assert game(none).shape == (0,) and game(none).dtype == game(one).dtype
    assert game.scores(none).shape == (0, *game.scores(one).shape[1:])
    assert game.per_question(none).shape == (0, 2)
    with pytest.raises(ValueError, match="2 players wide"):
        game(np.ones((0, 2), dtype=bool))
