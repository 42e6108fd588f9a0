"""The Walsh-kernel Gaussian process as a decoder."""

import numpy as np
import pytest

from spex_mech import designs
from spex_mech.core.errors import InputError
from spex_mech.core.faithfulness import faithfulness
from spex_mech.core.masks import all_masks, pack
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.gp import decode as gp_decode
from spex_mech.decoders.gp.decode import walsh_gp
from spex_mech.designs import MaskDesign

TERMS = {(): 2.0, (0,): -1.0, (3,): 0.5, (0, 3): 0.8, (4, 9): -0.6, (0, 3, 4): 0.4}
TRUTH = Spectrum.from_supports(list(TERMS), list(TERMS.values()), 12)


def hierarchical(n, seed, sets=12):
    """Sets of up to 4 players with all pairs and players in them."""
    rng = np.random.default_rng(seed)
    supports = []
    for _ in range(sets):
        top = rng.choice(n // 2, rng.integers(2, 5), replace=False)
        supports += [top, top[:2], top[1:], *top[:, None]]
    scale = np.array([0.6 ** len(s) for s in supports])
    return Spectrum.from_supports(supports, rng.normal(size=len(supports)) * scale, n)


def test_planted_terms_are_found_and_predicted():
    design = designs.uniform(12, 300, seed=0)
    spectrum = walsh_gp(design, TRUTH(design.masks))
    assert {s for s, _ in spectrum.top(5)} == set(TERMS) - {()}
    for support, coefficient in TERMS.items():
        assert spectrum[support] == pytest.approx(coefficient, abs=0.05)
    masks = all_masks(12)
    assert faithfulness(spectrum, masks, TRUTH(masks)) > 0.995
    assert faithfulness(spectrum.truncate(200), masks, TRUTH(masks)) > 0.995
    assert len(spectrum) == 201 and spectrum.info["jitter"] == 0.0


def test_terms_are_the_posterior_mean_itself_when_all_are_kept():
    design = designs.uniform(7, 60, seed=1)
    values = np.random.default_rng(0).normal(size=60)
    spectrum = walsh_gp(design, values, terms=127)
    masks = all_masks(7)
    np.testing.assert_allclose(spectrum.truncate(127)(masks), spectrum(masks), atol=1e-12)
    assert spectrum.info["readout_loss"] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("m", [60, 700])
def test_units_of_the_values_do_not_matter(m):
    design = designs.uniform(12, m, seed=2)
    values = TRUTH(design.masks)
    one, other = walsh_gp(design, values), walsh_gp(design, 1e4 * values - 3e4)
    masks = all_masks(12)[::16]
    np.testing.assert_allclose(other(masks), 1e4 * one(masks) - 3e4, rtol=1e-5, atol=1.0)
    assert other.info["r2_cv"] == pytest.approx(one.info["r2_cv"], abs=1e-4)


def test_permuting_the_players_permutes_the_answer():
    rng = np.random.default_rng(3)
    design = designs.biased(12, 150, keep_rate=0.7, seed=3)
    values = TRUTH(design.masks) + 0.1 * rng.normal(size=150)
    order = rng.permutation(12)  # player k of the other design is player order[k] of this one
    moved = MaskDesign(design.masks[:, order], 3, "biased", design.keep_rates)
    one, other = walsh_gp(design, values), walsh_gp(moved, values)
    found = {tuple(sorted(order[list(s)].tolist())): c for s, c in other}
    for support, coefficient in one.top(50, include_empty=True):
        assert found[support] == pytest.approx(coefficient, abs=1e-5)


def test_constant_values():
    design = designs.uniform(12, 50, seed=0)
    spectrum = walsh_gp(design, np.full(50, 3.0))
    assert dict(spectrum) == {(): 3.0}


def test_players_that_never_change_are_no_obstacle():
    masks = designs.uniform(8, 80, seed=4).masks.copy()
    masks[:, 5] = True
    spectrum = walsh_gp(MaskDesign(masks, 4), masks @ np.arange(8.0))
    assert spectrum.info["r2_cv"] > 0.99
    np.testing.assert_allclose(spectrum(masks), masks @ np.arange(8.0), atol=0.2)


@pytest.mark.parametrize("m", [2, 3, 9, 10])
def test_few_masks(m):
    design = MaskDesign(all_masks(4)[:m], 0)
    values = np.arange(m) + 1.0
    spectrum = walsh_gp(design, values)
    assert np.abs(spectrum(design.masks) - values).max() < np.ptp(values)
    assert len(spectrum) == 16


@pytest.mark.parametrize(
    ("m", "most", "kind"),
    [(150, 5000, "folds"), (900, 5000, "leave one out"), (900, 500, "left out")],
)
def test_expected_r2_is_that_of_masks_not_seen(monkeypatch, m, most, kind):
    monkeypatch.setattr(gp_decode, "MAX_ROWS", most)
    truth = hierarchical(14, 1, sets=30)
    design = designs.uniform(14, m, seed=5)
    noise = 0.3 * np.random.default_rng(5).normal(size=1 << 14)
    table = truth(all_masks(14)) + noise
    rows = pack(design.masks)[:, 0].astype(int)
    spectrum = walsh_gp(design, table[rows])
    unseen = np.setdiff1d(np.arange(1 << 14), rows)
    r2 = faithfulness(spectrum, all_masks(14)[unseen], table[unseen])
    assert spectrum.info["r2_cv_kind"] == kind
    assert spectrum.info["r2_cv"] == pytest.approx(r2, abs=0.06)


def test_truncation_costs_no_more_away_from_one_half():
    truth = hierarchical(24, 6)
    losses = {}
    for rate in (0.5, 0.85):
        design = designs.biased(24, 200, keep_rate=rate, seed=6)
        spectrum = walsh_gp(design, truth(design.masks), terms=60)
        losses[rate] = spectrum.info["readout_loss"]
        fresh = np.random.default_rng(7).random((4000, 24)) < rate
        target = spectrum(fresh)
        plain = walsh_gp(
            MaskDesign(design.masks, 6, "biased", np.full(24, 0.5)),
            truth(design.masks),
            terms=len(spectrum) - 1,  # as many plain terms as the expansion has
        )
        np.testing.assert_allclose(plain(fresh), target, atol=1e-10)
        left = 1.0 - faithfulness(plain.truncate(len(plain)), fresh, target)
        measured = 1.0 - faithfulness(spectrum.truncate(len(spectrum)), fresh, target)
        assert losses[rate] == pytest.approx(measured, rel=0.2, abs=1e-4)
        assert measured < left / 2 if rate == 0.85 else measured == pytest.approx(left)
    assert losses[0.85] <= losses[0.5] + 1e-3


def test_bad_input():
    design = designs.uniform(6, 20, seed=0)
    values = np.arange(20.0)
    with pytest.raises(InputError, match="shape"):
        walsh_gp(design, values[1:])
    with pytest.raises(InputError, match="not finite"):
        walsh_gp(design, np.where(values == 3, np.nan, values))
    with pytest.raises(InputError, match="terms is 0, expected at least"):
        walsh_gp(design, values, terms=0)
    twice = MaskDesign(np.repeat(design.masks[:1], 4, axis=0), 0)
    with pytest.raises(InputError, match="1 distinct masks"):
        walsh_gp(twice, values[:4])


def test_the_predictor_speaks_until_the_spectrum_is_truncated():
    terms = Spectrum.from_supports([(), (0,)], [1.0, 2.0], 3)
    full = Spectrum(terms.words, terms.coefficients, 3, {}, lambda masks: masks.sum(axis=1) + 0.5)
    masks = all_masks(3)
    np.testing.assert_array_equal(full(masks), masks.sum(axis=1) + 0.5)
    np.testing.assert_array_equal(full.truncate(5)(masks), terms(masks))
    assert full.truncate(5).predictor is None and "predictor" not in repr(full)
    assert full.top(1) == [((0,), 2.0)]
