"""Calibration by hand and for a model that knows what it does not know."""

from __future__ import annotations

import numpy as np
import pytest

from spex_mech.tasks.calibration import calibrate


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
