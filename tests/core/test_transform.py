"""The Walsh-Hadamard transform against the definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spex_mech.core.errors import InputError
from spex_mech.core.masks import all_masks
from spex_mech.core.transform import exact_spectrum, walsh_hadamard

tables = (
    st.integers(1, 7)
    .flatmap(lambda n: st.lists(st.floats(-100, 100), min_size=2**n, max_size=2**n))
    .map(np.array)
)


@settings(deadline=None)
@given(tables)
def test_coefficients_are_the_defining_sum(table):
    n = len(table).bit_length() - 1
    masks = all_masks(n)
    signs = (-1.0) ** (masks.astype(int) @ masks.astype(int).T)
    np.testing.assert_allclose(
        walsh_hadamard(table) / len(table), signs @ table / len(table), atol=1e-11
    )


@settings(deadline=None)
@given(tables)
def test_round_trip_and_parseval(table):
    n = len(table).bit_length() - 1
    scale = 1.0 + np.abs(table).max()
    np.testing.assert_allclose(
        walsh_hadamard(walsh_hadamard(table)) / len(table), table, atol=1e-13 * scale
    )
    spectrum = exact_spectrum(table)
    np.testing.assert_allclose(spectrum(all_masks(n)), table, atol=1e-9 * scale)
    energy = np.sum(spectrum.coefficients**2)
    np.testing.assert_allclose(energy, np.mean(table**2), atol=1e-9 * scale**2)


def test_the_input_is_left_alone():
    table = np.arange(8.0)
    walsh_hadamard(table)
    np.testing.assert_array_equal(table, np.arange(8.0))


def test_rounding_is_dropped():
    x = all_masks(6)
    table = 0.1 + 0.3 * x[:, 2] - 0.7 * (x[:, 0] & x[:, 5])
    assert sorted(exact_spectrum(table).supports) == [(), (0,), (0, 5), (2,), (5,)]
    assert len(exact_spectrum(np.zeros(4))) == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(6), r"expected \(2\^n,\)"),
        (np.zeros((2, 2)), r"expected \(2\^n,\)"),
        (np.array([0.0, np.nan]), "coalition 1 is not finite"),
        (np.broadcast_to(0.0, 1 << 25), "at most 24"),
    ],
)
def test_bad_input_is_named(values, message):
    with pytest.raises(InputError, match=message):
        exact_spectrum(values)
