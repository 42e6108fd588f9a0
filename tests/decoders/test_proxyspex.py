"""ProxySPEX on functions whose terms are known, under every kind of design."""

import numpy as np
import pytest

from spex_mech import designs
from spex_mech.core.errors import InputError
from spex_mech.core.faithfulness import faithfulness
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.proxyspex import proxyspex
from spex_mech.designs import MaskDesign

N = 20
TERMS = {
    (): 1.0, (1,): -1.0, (2,): 0.8, (7,): 0.6, (11,): -0.7, (1, 2): 0.9, (2, 7): -0.6, (1, 7): 0.5,
    (1, 2, 7): 1.1, (11, 13): 0.7,
}  # fmt: skip
TRUTH = Spectrum.from_supports(list(TERMS), list(TERMS.values()), N)
DESIGNS = {
    "uniform": lambda m, seed: designs.uniform(N, m, seed=seed),
    "paired": lambda m, seed: designs.paired(N, m, seed=seed),
    "stratified": lambda m, seed: designs.stratified(N, m, seed=seed),
    "biased": lambda m, seed: designs.biased(N, m, keep_rate=0.8, seed=seed),
    "range": lambda m, seed: designs.biased(N, m, keep_rate=(0.6, 0.95), seed=seed),
}


@pytest.mark.parametrize("kind", DESIGNS)
def test_planted_terms_are_found_and_refitted(kind):
    design, held_out = DESIGNS[kind](600, 0), DESIGNS[kind](500, 1)
    spectrum = proxyspex(design, TRUTH(design.masks), seed=0)
    assert spectrum.info["terms"] == "refit"
    assert {s for s, _ in spectrum.top(9)} == set(TERMS) - {()}
    for support, coefficient in TERMS.items():
        assert spectrum[support] == pytest.approx(coefficient, abs=0.02)
    assert faithfulness(spectrum, held_out.masks, TRUTH(held_out.masks)) > 0.999


def test_the_r2_to_expect_is_met():
    rng = np.random.default_rng(0)
    masks = designs.uniform(N, 1600, seed=3).masks
    values = TRUTH(masks) + rng.normal(size=1600)
    spectrum = proxyspex(MaskDesign(masks[:600], 0), values[:600], seed=0)
    achieved = faithfulness(spectrum, masks[600:], values[600:])
    assert spectrum.info["r2_cv"] == pytest.approx(achieved, abs=0.05)


def test_pure_noise_is_not_explained():
    design = designs.uniform(N, 300, seed=0)
    spectrum = proxyspex(design, np.random.default_rng(0).normal(size=300), seed=0)
    assert spectrum.info["r2_cv"] < 0.05
    fresh = designs.uniform(N, 300, seed=1).masks
    assert np.std(spectrum(fresh)) < 0.3


def test_scale_and_shift_of_the_values_only_scale_and_shift_the_answer():
    design = designs.uniform(N, 300, seed=0)
    values = TRUTH(design.masks)
    one, other = (proxyspex(design, y, rounds=50) for y in (values, 1e-3 * values + 5.0))
    fresh = designs.uniform(N, 100, seed=1).masks
    np.testing.assert_allclose(1e-3 * one(fresh) + 5.0, other(fresh), atol=1e-6)


def test_seeds_repeat_and_differ():
    design = designs.uniform(N, 200, seed=0)
    values = TRUTH(design.masks) + np.random.default_rng(0).normal(size=200)
    first, again, other = (proxyspex(design, values, seed=s, rounds=20) for s in (0, 0, 1))
    assert dict(first) == dict(again)
    assert dict(first) != dict(other)


def test_equal_masks_count_as_one_average():
    design = designs.uniform(N, 200, seed=0)
    values = TRUTH(design.masks)
    noise = np.random.default_rng(0).normal(size=200)
    twice = MaskDesign(np.vstack([design.masks, design.masks]), 0)
    fresh = designs.uniform(N, 100, seed=1).masks
    found = proxyspex(twice, np.concatenate([values + noise, values - noise]))
    assert faithfulness(found, fresh, TRUTH(fresh)) > 0.8
    assert faithfulness(found, design.masks, values) > 0.9


def test_constant_values_and_bad_input():
    design = designs.uniform(N, 30, seed=0)
    assert dict(proxyspex(design, np.full(30, 2.0))) == {(): 2.0}
    with pytest.raises(InputError, match="mask 3"):
        proxyspex(design, np.where(np.arange(30) == 3, np.nan, 1.0))
    with pytest.raises(InputError, match="9 distinct masks in 5 folds"):
        proxyspex(designs.uniform(N, 9, seed=0), np.arange(9.0))
