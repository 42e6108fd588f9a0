"""Metrics by hand on stored scores."""

from __future__ import annotations

import numpy as np
import pytest

from spex_mech.tasks.metrics import metric_for
from spex_mech.tasks.prompts import NO_OPTION, Prompts

SCORES = np.array([[[2.0, 1.0, 2.0], [0.0, 3.0, 1.0]]], dtype=np.float32)
RIGHT = np.array([0, 2])


def prompts(**changes) -> Prompts:
    fields = {
        "ids": ("q0", "q1"),
        "tokens": ((1,), (2,)),
        "answers": np.zeros((2, 3), dtype=np.int64),
        "right": RIGHT,
        **changes,
    }
    return Prompts(**fields)


def test_a_tie_is_wrong_and_the_harness_takes_the_first():
    assert metric_for("accuracy", prompts())(SCORES, RIGHT).tolist() == [[0, 0]]
    assert metric_for("accuracy_first", prompts())(SCORES, RIGHT).tolist() == [[1, 0]]
    last = np.array([2, 1])
    assert metric_for("accuracy_first", prompts())(SCORES, last).tolist() == [[0, 1]]


def test_brier():
    p = np.exp(SCORES[0]) / np.exp(SCORES[0]).sum(axis=1, keepdims=True)
    target = np.eye(3)[RIGHT]
    expected = -((p - target) ** 2).sum(axis=1)
    np.testing.assert_allclose(metric_for("brier", prompts())(SCORES, RIGHT)[0], expected)


def test_scores_by_length():
    lengths = np.array([[2.0, 1.0, 4.0], [1.0, 10.0, 2.0]])
    several = prompts(answers=None, options=np.arange(6).reshape(2, 3), lengths=lengths)
    margin = metric_for("margin_norm", several)(SCORES, RIGHT)[0]
    np.testing.assert_allclose(margin, [1 - 1, 0.5 - 0.3])
    full = np.zeros((1, 2, 3), dtype=np.float32)
    scaled = SCORES[0] / lengths
    logp = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    expected = ((logp + np.log(3)) / 3).sum(axis=1)
    np.testing.assert_allclose(metric_for("kl_norm", several)(SCORES, RIGHT, full)[0], expected)
    with pytest.raises(ValueError, match="unknown metric 'margin_norm' for questions with answers"):
        metric_for("margin_norm", prompts())


@pytest.mark.parametrize("name", ["accuracy", "accuracy_first", "margin", "logprob", "brier", "kl"])
@pytest.mark.parametrize("norm", ["", "_norm"])
def test_options_that_an_example_lacks_change_nothing(name, norm):
    lengths = np.array([[3.0, 1.0]])
    short = Prompts(
        ("q",), ((1,),), None, np.array([1]), options=np.zeros((1, 2), int), lengths=lengths
    )
    wide = Prompts(
        ("q",),
        ((1,),),
        None,
        np.array([1]),
        options=np.zeros((1, 4), int),
        lengths=np.ones((1, 4)),
    )
    wide.lengths[:, :2] = lengths
    scores = np.array([[[-3.0, -2.0]], [[-1.0, -4.0]]], dtype=np.float32)
    padded = np.full((2, 1, 4), NO_OPTION)
    padded[..., :2] = scores
    few = metric_for(name + norm, short)(scores, np.array([1]), scores[:1])
    many = metric_for(name + norm, wide)(padded, np.array([1]), padded[:1])
    np.testing.assert_allclose(many, few)


def test_sequences_have_no_answers():
    with pytest.raises(
        ValueError, match="'margin' for sequences without answers; expected one of logprob"
    ):
        metric_for("margin", prompts(answers=None))
