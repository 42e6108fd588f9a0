"""LASSO on planted low-order functions."""

import numpy as np
import pytest

from spex_mech import designs
from spex_mech.core.errors import InputError
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.lasso import _least, lasso

TERMS = {(): 2.0, (0,): -1.0, (3,): 0.5, (0, 3): 0.8, (4, 9): -0.6}
TRUTH = Spectrum.from_supports(list(TERMS), list(TERMS.values()), 12)


def test_planted_pairs_are_found():
    design = designs.uniform(12, 300, seed=0)
    spectrum = lasso(design, TRUTH(design.masks), order=2)
    assert {s for s, _ in spectrum.top(4)} == set(TERMS) - {()}
    for support, coefficient in TERMS.items():
        assert spectrum[support] == pytest.approx(coefficient, abs=0.01)
    assert spectrum.info["r2_cv"] > 0.99999


@pytest.mark.parametrize("factor", [1.0 - 1e-12, 1.0 + 1e-12])
def test_rounding_chooses_no_penalty(factor):
    design = designs.uniform(12, 300, seed=0)
    values = TRUTH(design.masks)
    expected, spectrum = lasso(design, values), lasso(design, factor * values)
    np.testing.assert_array_equal(spectrum.words, expected.words)
    np.testing.assert_allclose(spectrum.coefficients, expected.coefficients, rtol=1e-9)


def test_of_equally_good_penalties_the_largest_is_taken():
    errors = np.array([3.0, 1.0 + 5e-10, 1.0, 1.0 - 5e-10, 2.0])
    assert _least(errors) == 1
    assert _least(errors - np.array([0, 0, 0, 1e-6, 0])) == 3


def test_order_one_is_sklearns_lasso():
    from sklearn.linear_model import LassoCV
    from sklearn.model_selection import KFold

    design = designs.uniform(12, 100, seed=1)
    values = TRUTH(design.masks)
    spectrum = lasso(design, values, order=1, seed=4)
    model = LassoCV(cv=KFold(5, shuffle=True, random_state=4), alphas=60, eps=1e-3, tol=1e-8)
    model.fit(1.0 - 2.0 * design.masks, (values - values.mean()) / values.std())
    expected = model.coef_ * values.std()
    found = [spectrum[(i,)] for i in range(12)]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert spectrum.degrees.max() == 1


def test_constant_values_and_bad_input():
    design = designs.uniform(12, 50, seed=0)
    assert dict(lasso(design, np.zeros(50))) == {(): 0.0}
    with pytest.raises(InputError, match="order is 13"):
        lasso(design, np.arange(50.0), order=13)
    with pytest.raises(InputError, match="too few"):
        lasso(designs.uniform(12, 9, seed=0), np.arange(9.0))
    big = designs.uniform(2000, 200, seed=0)
    with pytest.raises(InputError, match="do not fit in memory"):
        lasso(big, np.arange(200.0), order=2)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_choosing_terms_changes_no_result(monkeypatch, noise):
    design = designs.biased(30, 90, keep_rate=(0.4, 0.9), seed=0)  # 465 terms
    rng = np.random.default_rng(0)
    sets = [(0,), (3, 7), (3, 9), (12, 20), (21, 22, 23)]
    game = Spectrum.from_supports(sets, [1.0, -2.0, 1.5, 0.7, 0.5], 30)
    values = game(design.masks) + noise * rng.normal(size=90)
    results = []
    for most in (10**9, 0):
        monkeypatch.setattr("spex_mech.decoders.lasso._MANY_TERMS", most)
        results.append(lasso(design, values, seed=0))
    every, chosen = results
    fresh = rng.random((200, 30)) < 0.6
    np.testing.assert_allclose(chosen(fresh), every(fresh), atol=1e-4 * np.ptp(values))
    assert chosen.info["r2_cv"] == pytest.approx(every.info["r2_cv"], abs=1e-4)
