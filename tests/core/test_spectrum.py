"""`Spectrum` against the definition of the Fourier sum."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spex_mech.core.errors import InputError
from spex_mech.core.masks import all_masks
from spex_mech.core.spectrum import Spectrum


@st.composite
def spectra(draw, max_n=70):
    n = draw(st.integers(1, max_n))
    players = st.sets(st.integers(0, n - 1), max_size=min(n, 5)).map(lambda s: tuple(sorted(s)))
    supports = draw(st.lists(players, min_size=1, max_size=20, unique=True))
    weight = st.floats(-10, 10).map(lambda x: round(x, 3))
    return supports, draw(st.lists(weight, min_size=len(supports), max_size=len(supports))), n


def definition(supports, coefficients, masks):
    """The Fourier sum, sum_S F(S) (-1)^{|S ∩ x|}, term by term."""
    total = np.zeros(len(masks))
    for support, c in zip(supports, coefficients, strict=True):
        total += c * (-1.0) ** masks[:, list(support)].sum(axis=1)
    return total


@settings(deadline=None)
@given(spectra())
def test_call_is_the_fourier_sum(case):
    supports, coefficients, n = case
    spectrum = Spectrum.from_supports(supports, coefficients, n)
    masks = np.random.default_rng(len(supports)).random((33, n)) < 0.5
    expected = definition(supports, coefficients, masks)
    np.testing.assert_allclose(spectrum(masks), expected, atol=1e-12)


@settings(deadline=None)
@given(spectra())
def test_supports_degrees_membership_and_lookup_agree(case):
    supports, coefficients, n = case
    spectrum = Spectrum.from_supports(supports, coefficients, n)
    assert dict(spectrum) == dict(zip(supports, coefficients, strict=True))
    assert len(spectrum) == len(supports)
    for row, support in enumerate(spectrum.supports):
        assert spectrum.degrees[row] == len(support)
        assert tuple(np.flatnonzero(spectrum.membership[row])) == support
        assert spectrum[support] == spectrum.coefficients[row]


def test_a_helpful_player_has_a_negative_coefficient():
    spectrum = Spectrum.from_supports([(), (1,)], [0.5, -0.5], 3)  # f(x) = x_1
    np.testing.assert_array_equal(spectrum(all_masks(3)), all_masks(3)[:, 1])


def test_answers_do_not_depend_on_how_masks_are_split():
    rng = np.random.default_rng(0)
    supports = [tuple(rng.choice(30, 3, replace=False)) for _ in range(21)]
    spectrum = Spectrum.from_supports(supports, rng.normal(size=21), 30)
    masks = rng.random((70_001, 30)) < 0.3
    whole = spectrum(masks)
    cuts = [0, 1, 9, 5_000, 65_537, 70_001]
    parts = [spectrum(masks[a:b]) for a, b in pairwise(cuts)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    np.testing.assert_array_equal(whole[123], spectrum(masks[123])[0])


def test_repeated_supports_are_added_up():
    spectrum = Spectrum.from_supports([(2, 0), (0, 2), (), (1,)], [1.0, 2.0, 4.0, 8.0], 3)
    assert dict(spectrum) == {(0, 2): 3.0, (): 4.0, (1,): 8.0}
    assert spectrum[(2, 0)] == 3.0
    assert spectrum[(0, 1)] == 0.0


def test_top_and_truncate_rank_by_size_and_set_the_constant_apart():
    spectrum = Spectrum.from_supports([(), (0,), (1,), (0, 1)], [9.0, -3.0, 2.0, -1.0], 2)
    assert spectrum.top(2) == [((0,), -3.0), ((1,), 2.0)]
    assert spectrum.top(2, include_empty=True) == [((), 9.0), ((0,), -3.0)]
    assert dict(spectrum.truncate(1)) == {(): 9.0, (0,): -3.0}
    assert dict(spectrum.truncate(9)) == dict(spectrum)


def test_no_terms_is_zero():
    spectrum = Spectrum.from_supports([], [], 4)
    np.testing.assert_array_equal(spectrum(all_masks(4)), np.zeros(16))
    assert spectrum.supports == [] and spectrum.top(3) == []


def test_arrays_cannot_be_written():
    spectrum = Spectrum.from_supports([(0,)], [1.0], 2)
    with pytest.raises(ValueError, match="read-only"):
        spectrum.coefficients[0] = 2.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: Spectrum.from_supports([(3,)], [1.0], 3),
            "player 3, expected players from 0 to 2",
        ),
        (lambda: Spectrum.from_supports([(0, 0)], [1.0], 3), "names a player twice"),
        (lambda: Spectrum.from_supports([(0,)], [1.0, 2.0], 3), r"shape \(2,\)"),
        (lambda: Spectrum.from_supports([(0,)], [np.nan], 3), "must be finite"),
        (lambda: Spectrum(np.zeros((1, 2), np.uint64), np.zeros(1), 3), r"expected \(1, 1\)"),
        (lambda: Spectrum.from_supports([(0,)], [1.0], 3)[0], r"use \(0,\)"),
        (lambda: Spectrum.from_supports([(0,)], [1.0], 3)(all_masks(2)), "2 players wide"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
