"""Sums of Fourier terms against their definition."""

import numpy as np
import pytest

from spex_mech.core import term_sums
from spex_mech.core.spectrum import Spectrum


def spectrum_of(n, terms, degree, seed=0):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, degree + 1, terms)
    supports = {tuple(sorted(rng.choice(n, k, replace=False).tolist())) for k in sizes}
    return Spectrum.from_supports(sorted(supports), rng.normal(size=len(supports)), n)


def one_by_one(spectrum, masks):
    """The sums of eight terms are exact enough that only their own order matters."""
    odd = (spectrum.membership[None] & masks[:, None]).sum(axis=2) % 2
    return (spectrum.coefficients * (1.0 - 2.0 * odd)).sum(axis=1)


@pytest.mark.parametrize("n, terms, degree", [(1, 2, 1), (9, 40, 9), (70, 301, 5), (130, 64, 130)])
@pytest.mark.parametrize("count", [0, 1, 8, 9, 100])
def test_values_are_those_of_the_definition(n, terms, degree, count):
    spectrum = spectrum_of(n, terms, degree)
    masks = np.random.default_rng(1).random((count, n)) < 0.6
    np.testing.assert_allclose(spectrum(masks), one_by_one(spectrum, masks), atol=1e-12)


def test_no_term_at_all_is_zero():
    nothing = Spectrum.from_supports([], [], 5)
    np.testing.assert_array_equal(nothing(np.ones((3, 5), dtype=bool)), np.zeros(3))


def test_a_value_is_the_same_bits_whatever_is_asked_beside_it(monkeypatch):
    masks = np.random.default_rng(1).random((300, 40)) < 0.6
    whole = spectrum_of(40, 500, 6)(masks)
    alone = spectrum_of(40, 500, 6)
    np.testing.assert_array_equal([float(alone(m[None])[0]) for m in masks[:20]], whole[:20])
    monkeypatch.setattr(term_sums, "_AT_ONCE", 1)
    np.testing.assert_array_equal(spectrum_of(40, 500, 6)(masks), whole)
