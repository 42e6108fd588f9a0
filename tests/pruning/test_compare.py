"""All methods on one model."""

from __future__ import annotations

import numpy as np

import spex_mech as sm
from spex_mech.pruning import methods
from spex_mech.pruning.compare import METHODS, choose_all

RNG = np.random.default_rng(0)
TASK = sm.TokenTask(RNG.integers(1, 61, (6, 9)), answers=RNG.integers(1, 61, (6, 2)))


def game_of(model: sm.Model) -> sm.TaskGame:
    return sm.TaskGame(model, TASK, sm.select_players(model), split="all")


def test_every_method_is_asked_at_every_size_of_a_model(tiny_llama):
    game = methods.Remembered(game_of(tiny_llama))
    choices = choose_all(game, (9, 6), budget=60, seed=0)
    assert {c.method for c in choices} == set(METHODS)
    assert [c.keep for c in choices] == [9, 6] * len(METHODS)
    for c in choices:
        assert c.ablations <= 60
        if c.measured is not None:
            assert c.measured == game(c.mask[None])[0]
