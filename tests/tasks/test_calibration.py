"""Calibration by hand and for a model that knows what it does not know."""

from __future__ import annotations

import numpy as np
import pytest

from spex_mech.tasks.calibration import calibrate, calibration_difference


def test_by_hand():
    p = np.array([[0.9, 0.1], [0.85, 0.15], [0.3, 0.7]])
    found = calibrate(np.log(p), np.array([0, 1, 1]), bins=10)
    assert found.count.tolist() == [0] * 7 + [1, 1, 1]  # 0.7 falls into [0.7, 0.8)
    expected = (abs(0.9 - 1) + abs(0.85 - 0) + abs(0.7 - 1)) / 3
    assert found.error == pytest.approx(expected)
    assert np.isnan(found.accuracy[:7]).all()


def test_answers_drawn_from_the_probabilities_are_calibrated():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(50_000, 4)) * 2
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    right = (p.cumsum(1) > rng.random((len(p), 1))).argmax(1)
    assert calibrate(scores, right).error < 0.01
    sure = calibrate(3 * scores, right)
    assert sure.error > 0.1 and (sure.confidence > sure.accuracy)[5:].all()


def test_bad_shapes():
    with pytest.raises(ValueError, match=r"scores have shape \(3,\)"):
        calibrate(np.zeros(3), np.zeros(3, int))


def test_the_difference_of_two_models_by_brute_force():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 40, 3)) * np.array([3.0, 1.0])[:, None, None]
    right = rng.integers(0, 3, 40)
    found = calibration_difference(a, b, right, seed=4, bins=5, draws=300)
    drawn = []
    for counts in np.random.default_rng(4).multinomial(40, np.full(40, 1 / 40), size=300):
        rows = np.repeat(np.arange(40), counts)
        drawn.append(np.subtract(*(calibrate(x[rows], right[rows], bins=5).error for x in (a, b))))
    mean = calibrate(a, right, bins=5).error - calibrate(b, right, bins=5).error
    low, high = np.quantile(drawn, [0.025, 0.975]) - np.mean(drawn) + mean
    assert (found.mean, found.low, found.high) == pytest.approx((mean, low, high))
    assert found.low < mean < found.high and found.n == 40
    same = calibration_difference(a, a, right, seed=4)
    assert same.mean == same.low == same.high == 0.0


def test_a_difference_needs_the_same_questions():
    with pytest.raises(ValueError, match="got scores of 3 and 2 questions"):
        calibration_difference(np.zeros((3, 2)), np.zeros((2, 2)), np.zeros(3, int), seed=0)
