"""The exact LASSO: its optimality conditions, with terms that depend on each other, and when it is used."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn import linear_model

from spex_mech.decoders import lasso as module
from spex_mech.decoders.active_set import exact_path
from spex_mech.decoders.ridge import parities

PENALTIES = np.logspace(0.0, -3.0, 25)


def problem(n: int, m: int, rate: float, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of players as terms, and a saturating game; both with mean 0."""
    rng = np.random.default_rng(seed)
    masks = rng.random((m, n)) < rate
    values = np.maximum(masks @ rng.random(n) - 0.4 * n * rate, 0.0) + noise * rng.normal(size=m)
    terms = parities(masks, module._low_order(n, 2)).astype(float)
    return terms - terms.mean(axis=0), values - values.mean()


def objective(z: np.ndarray, y: np.ndarray, penalties: np.ndarray, slopes: np.ndarray):
    """Half the mean square of what is left, plus penalty times sizes."""
    left = ((y[:, None] - z @ slopes) ** 2).mean(axis=0) / 2
    return left + penalties * np.abs(slopes).sum(axis=0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("n", "m", "rate", "noise"),
    [
        (6, 40, 0.5, 0.3),  # fewer terms than masks
        (20, 30, 0.5, 0.3),
        (20, 30, 0.5, 0.0),
        (20, 60, 0.95, 0.3),  # many terms are equal
        (30, 40, 0.97, 0.0),  # hardly any differ
        (5, 12, 0.5, 0.0),
    ],
)
def test_slopes_are_optimal_at_each_penalty(n, m, rate, noise, seed):
    z, y = problem(n, m, rate, noise, seed)
    largest = np.abs(y @ z).max() / m
    penalties = largest * PENALTIES
    slopes = exact_path(z, y, penalties)
    correlations = z.T @ (y[:, None] - z @ slopes) / m
    assert (np.abs(correlations) <= penalties * (1 + 1e-7) + 1e-12 * largest).all()
    used = slopes != 0
    wanted = (np.sign(slopes) * penalties)[used]
    np.testing.assert_allclose(correlations[used], wanted, rtol=1e-6, atol=1e-10 * largest)
    assert (used.sum(axis=0) <= np.linalg.matrix_rank(z)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # descents do not converge at the smallest penalties
        descended = linear_model.lasso_path(z, y, alphas=penalties.tolist(), tol=1e-6)[1]
    found, other = (objective(z, y, penalties, s) for s in (slopes, descended))
    assert (found <= other * (1 + 1e-9)).all()


def test_no_term_is_used_at_penalties_above_the_largest():
    z, y = problem(6, 30, 0.5, 0.1, 0)
    largest = np.abs(y @ z).max() / 30
    slopes = exact_path(z, y, largest * np.array([2.0, 1.01, 0.9]))
    np.testing.assert_array_equal((slopes != 0).sum(axis=0), [0, 0, 1])


@pytest.mark.parametrize("many", [4000, 0], ids=["all terms", "screened"])
def test_a_game_without_noise_is_solved_though_descents_do_not_converge(many, monkeypatch):
    monkeypatch.setattr(module, "_MANY_TERMS", many)
    z, y = problem(40, 90, 0.8, 0.0, 0)
    penalties = np.abs(y @ z).max() / len(y) * module._PENALTIES
    _, converged = module._descend(z, y, penalties, module._FINE, 1000)
    assert not converged
    slopes, intercepts = module._path(z, y, np.ones(len(y)), penalties, module._FINE)
    correlations = z.T @ (y[:, None] - z @ slopes - intercepts) / len(y)
    assert (np.abs(correlations) <= penalties * (1 + 1e-6)).all()
