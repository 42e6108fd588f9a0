"""Intervals: closed forms, coverage, pairing."""

from __future__ import annotations

import numpy as np
import pytest

from spex_mech.stats import bootstrap_mean, paired_difference


def test_a_large_sample_has_the_normal_interval():
    values = np.random.default_rng(0).normal(2, 3, size=4000)
    estimate = bootstrap_mean(values, seed=0)
    half = 1.96 * values.std() / np.sqrt(4000)
    assert estimate.mean == values.mean() and estimate.n == 4000
    assert estimate.low == pytest.approx(values.mean() - half, abs=0.05 * half)
    assert estimate.high == pytest.approx(values.mean() + half, abs=0.05 * half)


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(300):
        estimate = bootstrap_mean(rng.random(150) < 0.7, seed=seed, level=0.9, draws=800)
        covered += estimate.low <= 0.7 <= estimate.high
    # 300 binomial draws at 0.9: four standard deviations are 0.07.
    assert covered / 300 == pytest.approx(0.9, abs=0.07)


def test_pairing_removes_what_both_share():
    rng = np.random.default_rng(2)
    shared = rng.normal(0, 10, 500)
    a, b = shared + 0.3 + rng.normal(0, 0.1, 500), shared
    difference = paired_difference(a, b, seed=0)
    assert difference.low > 0.28 and difference.high < 0.32
    assert str(difference).startswith("+0.3")


def test_bad_samples():
    with pytest.raises(ValueError, match=r"at least two examples, got shape \(1,\)"):
        bootstrap_mean(np.ones(1), seed=0)
    with pytest.raises(ValueError, match=r"shapes \(3,\) and \(4,\); score the same examples"):
        paired_difference(np.ones(3), np.ones(4), seed=0)
