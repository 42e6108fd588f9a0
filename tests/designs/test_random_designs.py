"""Random designs: what they promise about their masks."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from spex_mech import designs
from spex_mech.core.errors import InputError
from spex_mech.core.masks import all_masks, unique
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.decode import decode
from spex_mech.evaluation.evaluate import evaluate


def distinct(design) -> int:
    return len(unique(design.masks)[0])


@pytest.mark.parametrize(("n", "budget"), [(4, 16), (12, 500), (21, 300), (100, 200)])
def test_uniform_masks_are_distinct_and_reproducible(n, budget):
    design = designs.uniform(n, budget, seed=3)
    assert design.masks.shape == (budget, n) and len(design) == budget
    assert distinct(design) == budget
    np.testing.assert_array_equal(design.masks, designs.uniform(n, budget, seed=3).masks)
    assert (design.masks != designs.uniform(n, budget, seed=4).masks).any()


@pytest.mark.parametrize(("n", "budget"), [(4, 16), (4, 15), (12, 500), (100, 200)])
def test_uniform_masks_with_ends_begin_with_them(n, budget):
    design = designs.uniform(n, budget, ends=True, seed=3)
    assert len(design) == budget == distinct(design)
    assert not design.masks[0].any() and design.masks[1].all()
    plain = designs.uniform(n, budget, seed=3).masks
    inner = plain[plain.any(axis=1) & ~plain.all(axis=1)]
    np.testing.assert_array_equal(design.masks[2:], inner[: budget - 2])
    sizes = [comb(n, k) for k in range(n + 1)]
    assert design.inclusion @ sizes == pytest.approx(budget)
    with pytest.raises(InputError, match="expected at least 2 with ends"):
        designs.uniform(n, 1, ends=True)


@pytest.mark.parametrize("n", [12, 40])
def test_uniform_masks_keep_each_player_half_the_time(n):
    kept = designs.uniform(n, 2000, seed=0).masks.mean(axis=0)
    assert np.abs(kept - 0.5).max() < 5 * 0.5 / np.sqrt(2000)


def test_paired_masks_come_with_their_complements():
    design = designs.paired(9, 256, seed=1)
    np.testing.assert_array_equal(design.masks[1::2], ~design.masks[0::2])
    assert distinct(design) == 256
    assert distinct(designs.paired(3, 8, seed=1)) == 8


def test_biased_masks_follow_their_rates():
    rates = np.linspace(0.1, 0.9, 9)
    design = designs.biased(9, 20_000, keep_rate=rates, seed=0)
    assert np.abs(design.masks.mean(axis=0) - rates).max() < 5 * 0.5 / np.sqrt(20_000)
    np.testing.assert_array_equal(design.keep_rates, rates)
    spread = designs.biased(200, 3000, keep_rate=(0.2, 0.8), seed=0).masks.mean(axis=1)
    # Rates uniform in 0.2 to 0.8 have their first and ninth deciles at 0.26 and 0.74.
    np.testing.assert_allclose(np.quantile(spread, [0.1, 0.9]), [0.26, 0.74], atol=0.02)


def test_stratified_sizes_follow_the_shapley_kernel():
    n, budget = 10, 1002
    design = designs.stratified(n, budget, seed=2)
    assert not design.masks[0].any() and design.masks[1].all()
    sizes = np.bincount(design.masks[2:].sum(axis=1), minlength=n + 1)
    weight = np.array([0, *[1 / (k * (n - k)) for k in range(1, n)], 0])
    assert np.abs(sizes - 1000 * weight / weight.sum()).max() <= 1


def test_exhaustive_is_the_table():
    np.testing.assert_array_equal(designs.exhaustive(5).masks, all_masks(5))


def test_masks_are_read_only_copies():
    given = np.ones((3, 4), dtype=bool)
    design = designs.MaskDesign(masks=given, seed=0)
    given[:] = False
    assert design.masks.all() and design.kind == "custom"
    with pytest.raises(ValueError, match="read-only"):
        design.masks[0, 0] = False


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: designs.uniform(3, 9), r"9 exceeds the 2\^3 = 8 masks"),
        (lambda: designs.uniform(3, 0), "at least one mask, got 0"),
        (lambda: designs.uniform(0, 3), "at least one player, got n=0"),
        (lambda: designs.paired(5, 7), "even budget, got 7; use 8"),
        (lambda: designs.paired(3, 10), "exceeds"),
        (lambda: designs.biased(5, 7, keep_rate=1.0), "between 0 and 1"),
        (lambda: designs.biased(5, 7, keep_rate=[0.5, 0.4]), r"shape \(2,\)"),
        (lambda: designs.biased(5, 7, keep_rate=(0.9, 0.4)), r"expected \(low, high\)"),
        (lambda: designs.biased(5, 7, keep_rate=(1.0, 1.0)), r"expected \(low, high\)"),
        (lambda: designs.biased(5, 7, keep_rate=(0.0, 0.0)), r"expected \(low, high\)"),
        (lambda: designs.biased(5, 7, keep_rate=(0.3, float("nan"))), r"from 0 to 1, low below"),
        (lambda: designs.biased(5, 7, keep_rate=0.0), "between 0 and 1"),
        (lambda: designs.biased(5, 7, keep_rate=float("nan")), "between 0 and 1"),
        (
            lambda: designs.biased(5, 7, keep_rate=0.5, seed=-1),
            "seed is -1, expected a whole number from 0",
        ),
        (lambda: designs.uniform(5, 7, seed=-1), "seed is -1, expected a whole number from 0"),
        (lambda: designs.spex(5, 32, seed=-1), "seed is -1, expected a whole number from 0"),
        (
            lambda: designs.biased(64, 10**9, keep_rate=0.5),
            "1000000000 masks of 64 players does not fit in memory; at most 16777216",
        ),
        (lambda: designs.stratified(5, 1), "use at least 2"),
        (lambda: designs.exhaustive(25), r"2\^25 masks"),
        (lambda: designs.MaskDesign(masks=np.ones((2, 2)), seed=0), "expected bool"),
        (
            lambda: designs.MaskDesign(masks=np.ones((0, 2), dtype=bool), seed=0),
            "at least one mask",
        ),
    ],
)
def test_bad_designs(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("keep_rate", [(0.3, 1.0), (0.0, 1.0), (0.0, 0.6)])
def test_a_range_may_reach_0_and_1(keep_rate):
    design = designs.biased(8, 200, keep_rate=keep_rate, seed=0)
    assert design.keep_rates is not None and 0 < design.keep_rates[0] < 1
    truth = Spectrum.from_supports([(), (0,), (1, 2)], [1.0, 0.5, -0.7], 8)
    values = evaluate(truth, design).values
    for method in ("walsh_gp", "lasso", "auto"):
        spectrum = decode(design, values, method=method, seed=0)
        assert spectrum[(1, 2)] == pytest.approx(-0.7, abs=0.1)
        assert spectrum[(0,)] == pytest.approx(0.5, abs=0.1)
