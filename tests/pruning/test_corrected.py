"""Corrected surrogates: the errors seen are taken back, and doubt grows away from them."""

from __future__ import annotations

import numpy as np
import pytest

from spex_mech.core.faithfulness import faithfulness
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.gp.kernel import signs
from spex_mech.pruning.corrected import Corrected, correct, learn_errors


def pair(seed: int, n: int = 12):
    """A truth and a surrogate that lacks some of it."""
    rng = np.random.default_rng(seed)
    sets = [(i,) for i in range(n)] + [(i, (i + 1) % n) for i in range(n)]
    truth = Spectrum.from_supports(sets, rng.normal(size=len(sets)), n)
    kept = rng.random(len(truth)) < 0.5
    return truth, Spectrum(truth.words[kept], truth.coefficients[kept], n)


@pytest.mark.parametrize("seed", range(3))
def test_errors_are_predicted_on_other_masks(seed):
    truth, surrogate = pair(seed)
    rng = np.random.default_rng(9)
    masks, others = np.unique(rng.random((120, 12)) < 0.6, axis=0), rng.random((300, 12)) < 0.6
    prior = learn_errors(surrogate, masks, truth(masks), np.ones(len(masks)))
    corrected = correct(surrogate, masks, truth(masks), np.ones(len(masks)), prior)
    before = faithfulness(surrogate, others, truth(others))
    after = faithfulness(corrected, others, truth(others))
    assert 1 - after < 0.25 * (1 - before)
    errors = np.abs(truth(others) - corrected(others))
    assert np.corrcoef(errors, corrected.std(others))[0, 1] > 0.1


def test_the_correction_is_the_posterior_of_the_errors():
    """s + k' C^-1 (y - s), standardised, written out."""
    truth, surrogate = pair(5)
    masks = np.unique(np.random.default_rng(1).random((20, 12)) < 0.5, axis=0)
    values = truth(masks)
    prior = learn_errors(surrogate, masks, values, np.ones(len(masks)))
    errors = values - surrogate(masks)
    shift, scale = errors.mean(), errors.std()
    cov = prior.kernel(signs(masks), signs(masks)) + prior.noise * np.eye(len(masks))
    others = np.random.default_rng(2).random((7, 12)) < 0.5
    cross = prior.kernel(signs(others), signs(masks))
    expected = (
        surrogate(others) + shift + scale * cross @ np.linalg.solve(cov, (errors - shift) / scale)
    )
    corrected = correct(surrogate, masks, values, np.ones(len(masks)), prior)
    np.testing.assert_allclose(corrected(others), expected, rtol=1e-9)
    np.testing.assert_allclose(
        corrected.std(others), corrected.errors.std(others, noise=False), rtol=1e-7
    )
    near, far = corrected.std(masks).max(), corrected.std(~masks).min()
    assert near < far


def test_a_surrogate_without_errors_stays():
    truth, _ = pair(0)
    masks = np.random.default_rng(3).random((20, 12)) < 0.5
    corrected = correct(
        truth,
        masks,
        truth(masks),
        np.ones(len(masks)),
        learn_errors(truth, masks, truth(masks), np.ones(len(masks))),
    )
    np.testing.assert_allclose(corrected(masks), truth(masks), atol=1e-9)
    plain = Corrected(truth)
    np.testing.assert_array_equal(plain(masks), truth(masks))
    np.testing.assert_array_equal(plain.std(masks), np.zeros(20))
