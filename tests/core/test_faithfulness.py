"""Faithfulness against its closed form and scikit-learn."""

import numpy as np
import pytest

from spex_mech.core.errors import InputError
from spex_mech.core.faithfulness import faithfulness
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
