"""Parity columns and ridge regression against the definition and scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from spex_mech.core.packed import pack_supports
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.ridge import parities, ridge

RNG = np.random.default_rng(0)


def test_parities_are_spectra_of_one_term():
    supports = [(), (3,), (1, 70, 128), (0, 63, 64)]
    masks = RNG.random((50, 130)) < 0.5
    columns = parities(masks, pack_supports(supports, 130))
    for column, support in zip(columns.T, supports, strict=True):
        one = Spectrum.from_supports([support], [1.0], 130)
        np.testing.assert_array_equal(column, one(masks))


@pytest.mark.parametrize("s", [5, 60])
@pytest.mark.parametrize("weighted", [False, True])
def test_ridge_and_its_leave_one_out_error_are_those_of_refitting(s, weighted):
    m = 30
    z, y = RNG.normal(size=(m, s)), RNG.normal(size=m)
    w = RNG.integers(1, 4, m).astype(float) if weighted else np.ones(m)
    penalties = np.array([0.1, 1.0, 30.0])
    fit = ridge(z, y, weights=w, penalties=penalties)
    errors = []
    for penalty in penalties:
        total = 0.0
        for j in range(m):
            left = np.arange(m) != j
            model = Ridge(alpha=penalty, tol=1e-12).fit(z[left], y[left], sample_weight=w[left])
            total += w[j] * (y[j] - model.predict(z[j : j + 1])[0]) ** 2
        errors.append(total / w.sum())
    full = Ridge(alpha=fit.penalty).fit(z, y, sample_weight=w)
    np.testing.assert_allclose(fit.coefficients, full.coef_, atol=1e-9)
    assert fit.intercept == pytest.approx(full.intercept_, abs=1e-9)
    assert fit.error == pytest.approx(min(errors), abs=1e-9)
    assert fit.penalty == penalties[np.argmin(errors)]
