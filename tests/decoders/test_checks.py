"""The checks every decoder makes."""

import numpy as np
import pytest

from spex_mech.core.errors import InputError
from spex_mech.decoders.checks import check_values, constant_spectrum, distinct
from spex_mech.designs import MaskDesign, uniform

DESIGN = uniform(5, 12, seed=0)


def test_values_come_back_as_float64():
    found = check_values(DESIGN, list(range(12)))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, np.arange(12.0))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(11), r"shape \(11,\), expected \(12,\)"),
        (np.zeros((12, 1)), r"shape \(12, 1\)"),
        (np.where(np.arange(12) == 4, np.nan, 0.0), "nan of mask 4"),
        (np.where(np.arange(12) > 6, np.inf, 0.0), r"inf of mask 7 .*5 such"),
        (["a"] * 12, "not numbers"),
    ],
)
def test_bad_values_are_named(values, message):
    with pytest.raises(InputError, match=message):
        check_values(DESIGN, values)


def test_constant_values_are_an_intercept():
    spectrum = constant_spectrum(DESIGN, np.full(12, 2.5), "x")
    assert spectrum is not None
    assert dict(spectrum) == {(): 2.5}
    assert spectrum.info["method"] == "x"
    assert constant_spectrum(DESIGN, np.arange(12.0), "x") is None


def test_equal_masks_are_averaged():
    masks = np.array([[1, 0], [0, 1], [1, 0], [1, 0]], dtype=bool)
    first, means, counts = distinct(MaskDesign(masks, 0), np.array([1.0, 5.0, 2.0, 6.0]))
    assert (first.tolist(), means.tolist(), counts.tolist()) == ([0, 1], [3.0, 5.0], [3.0, 1.0])
