"""Values near a set, as differences from it, are those of evaluating every set."""

from __future__ import annotations

import numpy as np
import pytest

from spex_mech.core.spectrum import Spectrum
from spex_mech.pruning import nearby
from spex_mech.pruning.corrected import Corrected, correct, learn_errors
from spex_mech.pruning.nearby import Local, SpectrumTerms, exchanged, flipped, near

N = 70  # more than one word of 64 players


def spectrum(seed: int = 0, n: int = N) -> Spectrum:
    rng = np.random.default_rng(seed)
    sets = {
        tuple(sorted(rng.choice(n, size, replace=False)))
        for size in (1, 2, 3, 5)
        for _ in range(30)
    }
    return Spectrum.from_supports([(), *sets], rng.normal(size=len(sets) + 1), n)


def corrected(surrogate, ablations: int = 30) -> Corrected:
    rng = np.random.default_rng(1)
    masks = rng.random((ablations, N)) < 0.7
    values = spectrum(2)(masks)
    ones = np.ones(len(masks))
    return correct(surrogate, masks, values, ones, learn_errors(surrogate, masks, values, ones))


def functions() -> dict:
    terms = SpectrumTerms(spectrum())
    return {
        "terms": terms,
        "corrected": corrected(terms),
        "optimistic": corrected(terms).optimistic(1.5),
        "uncorrected": Corrected(terms).optimistic(1.0),
        "one by one": lambda masks: spectrum()(masks) ** 2,
        "predictor": corrected(spectrum()).optimistic(1.0),
    }


@pytest.mark.parametrize("name", functions())
def test_differences_are_those_of_evaluating_every_set(name):
    function = functions()[name]
    assert isinstance(function, Local) is (name != "one by one")
    mask = np.random.default_rng(3).random(N) < 0.6
    kept, gone = np.flatnonzero(mask)[::3], np.flatnonzero(~mask)[::2]
    around = near(function, mask)
    assert around.value == pytest.approx(function(mask[None])[0], abs=1e-9)
    flips = function(flipped(mask, np.arange(N)))
    np.testing.assert_allclose(around.flips(), flips, atol=1e-9)
    assert np.ptp(flips) > 0.5
    pairs = np.repeat(kept, len(gone)), np.tile(gone, len(kept))
    expected = function(exchanged(mask, *pairs)).reshape(len(kept), len(gone))
    np.testing.assert_allclose(around.swaps(kept, gone), expected, atol=1e-9)
    none = np.zeros(0, dtype=np.int64)
    assert around.swaps(none, gone).shape == (0, len(gone))
    assert around.swaps(kept, none).shape == (len(kept), 0)


def test_rows_of_swaps_do_not_depend_on_how_many_are_asked_for_together(monkeypatch):
    function = functions()["optimistic"]
    mask = np.arange(N) % 3 > 0
    kept, gone = np.flatnonzero(mask), np.flatnonzero(~mask)
    together = near(function, mask).swaps(kept, gone)
    monkeypatch.setattr("spex_mech.pruning.corrected._ENTRIES", 1)
    np.testing.assert_allclose(near(function, mask).swaps(kept, gone), together, atol=1e-12)


def test_too_many_pairs_are_evaluated_one_by_one(monkeypatch):
    mask = np.arange(N) % 2 > 0
    kept, gone = np.flatnonzero(mask)[:4], np.flatnonzero(~mask)[:4]
    expected = near(SpectrumTerms(spectrum()), mask).swaps(kept, gone)
    monkeypatch.setattr(nearby, "_MOST_PAIRS", 3)
    np.testing.assert_allclose(
        near(SpectrumTerms(spectrum()), mask).swaps(kept, gone), expected, atol=1e-9
    )


def test_a_constant_has_no_differences():
    around = near(SpectrumTerms(Spectrum.from_supports([()], [2.0], 5)), np.arange(5) < 2)
    np.testing.assert_array_equal(around.flips(), np.full(5, 2.0))
    np.testing.assert_array_equal(around.swaps(np.arange(2), np.arange(2, 5)), np.full((2, 3), 2.0))
