"""Intervals: closed forms, coverage, pairing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from scipy.stats import t as student

from spex_mech.core import estimates
from spex_mech.core.estimates import bootstrap_mean, paired_difference
from spex_mech.core.significance import mcnemar, repeated_difference


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


@pytest.mark.parametrize("kept", [10**6, 0])
def test_resamples_are_drawn_once_for_all_values_of_the_same_examples(monkeypatch, kept):
    drawn, rng_of = [], np.random.default_rng
    values = rng_of(4).normal(size=(3, 60))
    counts = rng_of(11).multinomial(60, np.full(60, 1 / 60), size=500)
    monkeypatch.setattr(estimates, "_MOST_KEPT", kept)
    monkeypatch.setattr(np.random, "default_rng", lambda seed: drawn.append(seed) or rng_of(seed))
    for row in values:
        estimate = bootstrap_mean(row, seed=11, draws=500)
        expected = np.quantile(counts @ row / 60, [0.025, 0.975])
        np.testing.assert_allclose([estimate.low, estimate.high], expected, rtol=1e-12)
    assert drawn == [11] * (1 if kept else 3)
    assert bootstrap_mean(values[0], seed=12, draws=500).low != expected[0]


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


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(0, 0), (5, 0), (3, 9), (7, 7), (1, 0), (40, 22), (0, 600)]
)
def test_mcnemar_is_the_exact_binomial_test(only_a, only_b):
    same = 30
    a = np.array([1] * only_a + [0] * only_b + [1, 0] * (same // 2))
    b = np.array([0] * only_a + [1] * only_b + [1, 0] * (same // 2))
    found = mcnemar(a, b)
    assert (found.only_a, found.only_b, found.n) == (only_a, only_b, len(a))
    assert found.difference.mean == pytest.approx(a.mean() - b.mean())
    differ = only_a + only_b
    expected = binomtest(only_a, differ).pvalue if differ else 1.0
    assert found.p == pytest.approx(expected, rel=1e-9)
    swapped = mcnemar(b, a)
    assert swapped.p == found.p and swapped.difference.high == pytest.approx(-found.difference.low)
    assert f"{only_a} against {only_b} questions" in str(found)


def test_bonett_and_prices_interval():
    # Their formula by hand: 12 and 3 of 100 differ; p12 = 13/102, p21 = 4/102.
    a = np.array([1] * 12 + [0] * 3 + [1] * 85)
    b = np.array([0] * 12 + [1] * 3 + [1] * 85)
    estimate = mcnemar(a, b).difference
    middle, spread = 9 / 102, np.sqrt((17 / 102 - (9 / 102) ** 2) / 102)
    assert estimate.low == pytest.approx(middle - 1.959964 * spread, abs=1e-6)
    assert estimate.high == pytest.approx(middle + 1.959964 * spread, abs=1e-6)


def test_the_interval_of_rare_differences_covers():
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(1000):
        u = rng.random(200)
        estimate = mcnemar(u < 0.04, u > 0.99).difference
        covered += estimate.low <= 0.03 <= estimate.high
    # 1000 binomial draws at 0.95: four standard deviations are 0.028.
    assert covered / 1000 >= 0.95 - 0.028


def splits_of(rng, splits, pool, tested, of_split, of_question, of_both):
    """Differences d = s_r + g_q + e_rq of splits that draw their test questions from one pool."""
    questions = rng.normal(0, of_question, pool)
    values, ids = [], []
    for _ in range(splits):
        chosen = rng.choice(pool, tested, replace=False)
        shift = rng.normal(0, of_split)
        values.append(shift + questions[chosen] + rng.normal(0, of_both, tested))
        ids.append(chosen.tolist())
    return values, [np.zeros(tested)] * splits, ids


@pytest.mark.parametrize(
    "effects", [(0.0, 1.0, 0.0), (0.1, 1.0, 1.0), (0.3, 1.0, 1.0), (1.0, 0.0, 1.0), (0.0, 0.0, 1.0)]
)
def test_the_interval_over_splits_covers_splits_and_questions(effects):
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(400):
        estimate = repeated_difference(*splits_of(rng, 5, 200, 100, *effects))
        covered += estimate.low <= 0.0 <= estimate.high
    # 400 binomial draws at 0.95: three standard deviations are 0.033. With e_rq alone it is wider than
    # it needs to be.
    assert 0.95 - 0.033 <= covered / 400 <= (1.0 if effects[1] == effects[0] == 0 else 0.985)


def test_pooling_the_splits_would_promise_too_much():
    rng = np.random.default_rng(5)
    covered = 0
    for seed in range(200):
        a, _, _ = splits_of(rng, 5, 200, 100, 0.1, 1.0, 1.0)
        estimate = bootstrap_mean(np.concatenate(a), seed=seed, draws=400)
        covered += estimate.low <= 0.0 <= estimate.high
    assert covered / 200 < 0.88  # what repeated_difference is for


def test_splits_without_overlap_and_effects_have_students_interval_at_least():
    rng = np.random.default_rng(6)
    a = [rng.normal(0.5, 1.0, 40) for _ in range(8)]
    ids = [[f"{r}/{q}" for q in range(40)] for r in range(8)]
    found = repeated_difference(a, [np.zeros(40)] * 8, ids)
    assert found.mean == pytest.approx(np.mean(a)) and found.n == 320
    means = np.array([x.mean() for x in a])
    plain = np.std(np.concatenate(a) - found.mean, ddof=1) / np.sqrt(320)
    between = means.std(ddof=1) / np.sqrt(8)
    half = (found.high - found.low) / 2
    # The larger of the two variances, which estimate the same here, at least.
    assert half >= 1.96 * max(plain, between)
    assert half <= student.ppf(0.975, 7) * 1.05 * max(plain, between)


def test_the_same_difference_everywhere_has_no_width():
    found = repeated_difference([[1.0, 1]] * 2, [[0.5, 0.5]] * 2, [["a", "b"], ["b", "c"]])
    assert (found.mean, found.low, found.high, found.n) == (0.5, 0.5, 0.5, 3)


def test_bad_pairs_and_splits():
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(3,\); score the same questions"):
        mcnemar([1, 0], [1, 0, 1])
    with pytest.raises(ValueError, match="a 0 or 1 for each question"):
        mcnemar([1, 0.5], [1, 0])
    with pytest.raises(ValueError, match="got 1, 1 and 1 splits; give two or more"):
        repeated_difference([[1, 2]], [[1, 2]], [["a", "b"]])
    with pytest.raises(ValueError, match=r"split 1 has values of shapes \(2,\) and \(1,\)"):
        repeated_difference([[1, 2], [1, 2]], [[1, 2], [1]], [["a", "b"]] * 2)
    with pytest.raises(ValueError, match="1 different questions of 2"):
        repeated_difference([[1, 2], [1, 2]], [[1, 2]] * 2, [["a", "a"]] * 2)
    with pytest.raises(ValueError, match="at least two different questions"):
        repeated_difference([[1], [1]], [[0], [0]], [["a"], ["a"]])
