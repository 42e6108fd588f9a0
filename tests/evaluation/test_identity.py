"""What tells one function from another, so that no store gives one the other's values."""

from __future__ import annotations

import functools
import threading

import numpy as np
import pytest
from numpy import sum as npsum
from scipy.stats import trim_mean

import spex_mech as sm
from spex_mech.evaluation.identity import UNKNOWN, identity_of

DESIGN = sm.designs.uniform(6, 20, seed=0)
WEIGHTS = np.arange(6.0)


def linear(weights):
    return lambda masks: masks @ weights


def by_global(masks):
    return masks @ WEIGHTS


class Linear:
    def __init__(self, weights):
        self.weights = weights

    def __call__(self, masks):
        return masks @ self.weights

    def method(self, masks):
        return masks @ self.weights


def double(masks):
    return (lambda values: 2 * values)(masks.sum(axis=1))


def triple(masks):
    return (lambda values: 3 * values)(masks.sum(axis=1))


def scaled(weights, masks):
    return masks @ weights


PAIRS = {
    "constants of an inner function": (double, triple),
    "a variable of the enclosing function": (linear(WEIGHTS), linear(WEIGHTS + 1)),
    "a default": (
        lambda masks, by=1.0: by * masks.sum(axis=1),
        lambda masks, by=2.0: by * masks.sum(axis=1),
    ),
    "an attribute": (Linear(WEIGHTS), Linear(WEIGHTS + 1)),
    "a bound object": (Linear(WEIGHTS).method, Linear(WEIGHTS + 1).method),
    "a bound argument": (
        functools.partial(scaled, WEIGHTS),
        functools.partial(scaled, WEIGHTS + 1),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_an_edited_function_is_told_from_the_one_that_filled_the_store(tmp_path, name):
    first, second = PAIRS[name]
    assert identity_of(first) == identity_of(first)
    before = sm.evaluate(first, DESIGN, store=tmp_path)
    again = sm.evaluate(first, DESIGN, store=tmp_path)
    assert again.evaluated == 0 and np.array_equal(again.values, before.values)
    with pytest.raises(sm.InputError, match=r"was evaluated with another .* another folder"):
        sm.evaluate(second, DESIGN, store=tmp_path)


def test_a_global_that_changed_is_named(tmp_path, monkeypatch):
    sm.evaluate(by_global, DESIGN, store=tmp_path)
    monkeypatch.setattr(f"{__name__}.WEIGHTS", WEIGHTS + 1)
    with pytest.raises(
        sm.InputError, match=r"another variable WEIGHTS: .*attribute ``fingerprint``"
    ):
        sm.evaluate(by_global, DESIGN, store=tmp_path)


def test_a_function_that_cannot_be_read_needs_a_fingerprint_for_a_store(tmp_path):
    lock = threading.Lock()

    def game(masks):
        with lock:
            return masks.sum(axis=1)

    assert identity_of(game)["variable lock"].startswith(UNKNOWN)
    assert sm.evaluate(game, DESIGN).evaluated == 20
    with pytest.raises(sm.InputError, match=r"variable lock cannot be read off it.*fingerprint"):
        sm.evaluate(game, DESIGN, store=tmp_path)
    assert not list(tmp_path.iterdir())
    game.fingerprint = "sizes"
    sm.evaluate(game, DESIGN, store=tmp_path)


def even(masks, left):
    return masks.sum(axis=1) if not left else odd(masks, left - 1)


def odd(masks, left):
    return even(masks, left)


class Helper:
    scale = 1.0

    @staticmethod
    def of(masks):
        return Helper.scale * masks.sum(axis=1)


def helped(masks):
    return Helper.of(masks)


def test_functions_that_call_each_other_are_read_once():
    identity = identity_of(lambda masks: even(masks, 3))
    assert not any(text.startswith(UNKNOWN) for text in identity.values())


def test_an_edited_method_of_a_helper_is_noticed(monkeypatch):
    before = identity_of(helped)
    assert before == identity_of(helped)
    monkeypatch.setattr(Helper, "of", staticmethod(lambda masks: 2 * masks.sum(axis=1)))
    assert identity_of(helped) != before
    monkeypatch.undo()
    assert identity_of(helped) == before
    monkeypatch.setattr(Helper, "scale", 2.0)
    assert identity_of(helped) != before


def test_functions_of_installed_packages_count_by_name(tmp_path):
    def game(masks):
        return trim_mean(npsum(masks * WEIGHTS, axis=1)[:, None], 0.1, axis=1)

    assert not any(text.startswith(UNKNOWN) for text in identity_of(game).values())
    sm.evaluate(game, DESIGN, store=tmp_path)
    assert sm.evaluate(game, DESIGN, store=tmp_path).evaluated == 0


def test_a_known_run_is_of_the_same_game_and_players():
    known = sm.evaluate(linear(WEIGHTS), DESIGN)
    assert sm.evaluate(linear(WEIGHTS), DESIGN, known=known).evaluated == 0
    with pytest.raises(sm.InputError, match="known= was evaluated with another variable weights"):
        sm.evaluate(linear(WEIGHTS + 1), DESIGN, known=known)
    with pytest.raises(sm.InputError, match="known= has 6 players, the design 7"):
        sm.evaluate(linear(np.ones(7)), sm.designs.uniform(7, 9, seed=0), known=known)


def test_rounds_take_a_function_that_cannot_be_read():
    lock, calls = threading.Lock(), []

    def game(masks):
        with lock:
            calls.append(len(masks))
        return masks @ WEIGHTS

    found = sm.explain(game, n=6, budget=60, method="lasso", seed=0)
    assert sum(calls) <= 60 and found.spectrum is not None
