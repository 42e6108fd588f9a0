"""Faithfulness against its closed form and scikit-learn."""

import numpy as np
import pytest

from spex_mech.core.errors import InputError
from spex_mech.core.faithfulness import faithfulness, r2_interval
from spex_mech.core.masks import all_masks
from spex_mech.core.spectrum import Spectrum
from spex_mech.core.transform import exact_spectrum

VALUES = np.random.default_rng(0).normal(size=64)


def test_it_is_the_energy_of_the_kept_terms():
    spectrum = exact_spectrum(VALUES)
    part = spectrum.truncate(10)
    kept, all_ = (np.sum(s.coefficients[s.degrees > 0] ** 2) for s in (part, spectrum))
    assert faithfulness(part, all_masks(6), VALUES) == pytest.approx(kept / all_, abs=1e-12)
    assert faithfulness(spectrum, all_masks(6), VALUES) == pytest.approx(1.0, abs=1e-12)


def test_it_is_sklearns_r2():
    from sklearn.metrics import r2_score

    guess = Spectrum.from_supports([(), (1,)], [0.3, -0.4], 6)
    masks = all_masks(6)[5:40]
    expected = r2_score(VALUES[5:40], guess(masks))
    assert faithfulness(guess, masks, VALUES[5:40]) == pytest.approx(expected, abs=1e-12)


def test_any_function_will_do_and_the_mean_scores_zero():
    assert faithfulness(lambda x: np.full(len(x), VALUES.mean()), all_masks(6), VALUES) == 0.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (VALUES[:-1], r"shape \(63,\), expected \(64,\)"),
        (np.where(np.arange(64) == 7, np.inf, VALUES), "mask 7"),
        (np.ones(64), "R² is not defined"),
    ],
)
def test_bad_input_is_named(values, message):
    with pytest.raises(InputError, match=message):
        faithfulness(exact_spectrum(VALUES), all_masks(6), values)


def test_the_interval_of_r2_is_that_of_a_loop():
    rng = np.random.default_rng(0)
    measured = rng.normal(size=30)
    predicted = measured + 0.5 * rng.normal(size=30)
    found = r2_interval(predicted, measured, seed=0)
    assert found.n == 30
    assert found.mean == pytest.approx(
        faithfulness(lambda m: predicted, np.ones((30, 1), bool), measured)
    )
    draws = []
    for _ in range(10_000):
        rows = rng.integers(0, 30, 30)
        f, g = measured[rows], predicted[rows]
        draws.append(1 - ((f - g) ** 2).sum() / ((f - f.mean()) ** 2).sum())
    low, high = np.quantile(draws, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.02)


def test_two_held_out_masks_have_an_interval():
    found = r2_interval(np.array([0.0, 1.0]), np.array([0.0, 2.0]), seed=0)
    assert found.mean == 0.5 and found.low <= 0.5 <= found.high
