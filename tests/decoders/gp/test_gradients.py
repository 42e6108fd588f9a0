"""Gradients as what relevances are drawn to: better with many players, refused where they do not fit."""

from __future__ import annotations

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.core.answers import Answers
from spex_mech.core.errors import InputError
from spex_mech.decoders.gp.gradients import centre_of
from spex_mech.decoders.gp.kernel import signs
from spex_mech.decoders.gp.likelihood import Prior, objective

N = 120
EFFECTS = np.random.default_rng(3).normal(size=N)


def game(masks: np.ndarray) -> np.ndarray:
    """A third of the players matter, more than there are masks for, and two pairs of them."""
    few = masks[:, ::3].astype(float)
    return few @ EFFECTS[::3] + 2.0 * (few[:, 0] * few[:, 1] - few[:, 2] * few[:, 3])


def slope() -> np.ndarray:
    """Derivatives at the full model, each with an error."""
    every = np.ones((1, N), dtype=bool)
    exact = game(every) - game(np.repeat(every, N, axis=0) & ~np.eye(N, dtype=bool))
    return exact * np.random.default_rng(1).uniform(0.3, 1.7, N)


@pytest.mark.parametrize("method", ["auto", "walsh_gp", "stack"])
def test_gradients_are_worth_masks(method):
    held = sm.designs.uniform(N, 300, seed=9).masks
    design = sm.designs.uniform(N, 60, seed=0)
    values = game(design.masks)
    without = sm.decode(design, values, method=method, seed=0)
    given = sm.decode(design, values, method=method, seed=0, gradients=slope())
    truth = game(held)
    before, after = (sm.faithfulness(spectrum, held, truth) for spectrum in (without, given))
    assert after > before + 0.1 and after > 0.5


@pytest.mark.parametrize("method", ["auto", "walsh_gp"])
def test_answers_to_single_questions_take_them_too(method):
    held = sm.designs.uniform(N, 300, seed=9).masks
    design = sm.designs.uniform(N, 90, seed=0)
    asked = np.arange(90) % 3
    answers = Answers(design.masks, np.arange(90), asked, game(design.masks) + asked, 3)
    r2 = [
        sm.faithfulness(
            sm.decode(design, answers, method=method, seed=0, **options), held, game(held) + 1
        )
        for options in ({}, {"gradients": slope()})
    ]
    assert r2[1] > r2[0] + 0.03


def test_the_unit_of_gradients_does_not_matter_and_few_players_need_none():
    found = centre_of(slope(), N)
    assert found is not None and abs(found.mean()) < 1e-9
    np.testing.assert_allclose(centre_of(-1000 * slope(), N), found)
    matter = np.arange(N) % 3 == 0
    assert found[matter].mean() > found[~matter].max()
    assert centre_of(None, N) is None
    assert centre_of(np.zeros(N), N) is None
    assert centre_of(np.ones(32), 32) is None


@pytest.mark.parametrize("wrong", [np.ones(N - 1), np.full(N, np.nan), np.ones((3, N)), "slope"])
def test_gradients_that_do_not_fit_are_refused(wrong):
    design = sm.designs.uniform(N, 40, seed=0)
    with pytest.raises(InputError, match="expected 120 finite numbers, one for each player"):
        sm.decode(design, game(design.masks), seed=0, gradients=wrong)


def test_a_method_without_processes_has_no_such_option():
    design = sm.designs.uniform(N, 40, seed=0)
    with pytest.raises(TypeError, match="gradients"):
        sm.decode(design, game(design.masks), method="lasso", seed=0, gradients=slope())


def test_relevances_at_the_centre_cost_nothing():
    rng = np.random.default_rng(0)
    masks, values = rng.random((30, N)) < 0.5, rng.normal(size=30)
    centre = centre_of(slope(), N)
    logs = Prior.start(N, centre=centre).pack()

    def loss(**options) -> tuple[float, np.ndarray]:
        return objective(logs, signs(masks), values, np.ones(30), **options)

    free, drawn = loss(tie=0.0), loss(centre=centre)
    assert free[0] == pytest.approx(drawn[0])
    np.testing.assert_allclose(free[1], drawn[1], atol=1e-9)
    assert loss()[0] > drawn[0] + 1
