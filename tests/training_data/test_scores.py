from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from spex_mech.core.errors import InputError
from spex_mech.training_data import (
    Examples,
    TrainFunction,
    TrainingGame,
    additive,
    datamodelling_scores,
    leave_one_out,
)


def test_equals_spearman_of_scipy():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 8, (40, 3)).astype(float)  # with ties
    predicted = truth + rng.normal(size=truth.shape) * np.array([0.1, 3.0, 30.0])
    wanted = [spearmanr(predicted[:, k], truth[:, k]).statistic for k in range(3)]
    np.testing.assert_allclose(datamodelling_scores(predicted, truth), wanted)


def test_a_constant_prediction_scores_nothing():
    truth = np.arange(5.0)[:, None]
    assert datamodelling_scores(np.ones((5, 1)), truth).tolist() == [0.0]


def test_bad_scores_are_refused():
    with pytest.raises(InputError, match=r"\(5, 1\) and margins \(5, 2\)"):
        datamodelling_scores(np.ones((5, 1)), np.ones((5, 2)))
    with pytest.raises(InputError, match="test point 1 has the same value"):
        datamodelling_scores(np.eye(4)[:, :2], np.stack([np.arange(4.0), np.ones(4)], axis=1))


def test_additive_is_a_sum_over_the_present():
    masks = np.array([[True, False, True], [False, True, False]])
    np.testing.assert_array_equal(additive([[1.0, 10.0, 100.0]], masks), [[101.0], [10.0]])
    with pytest.raises(InputError, match="3 players"):
        additive([[1.0, 2.0]], masks)


def test_leave_one_out_of_a_product(train: Examples, test: Examples):
    def function(rows: np.ndarray, seed: int) -> np.ndarray:
        out = np.zeros((len(test), 3))
        out[:, 0] = 2.0 * (0 in rows) * (1 in rows) + 0.5 * (5 in rows)
        return out

    game = TrainingGame(TrainFunction(function, "f"), train, test.take([0]), value="logit")
    wanted = np.zeros((1, 24))
    wanted[0, [0, 1, 5]] = 2.0, 2.0, 0.5
    function_of_one = TrainFunction(lambda rows, seed: function(rows, seed)[:1], "f")
    game = TrainingGame(function_of_one, train, test.take([0]), value="logit")
    np.testing.assert_allclose(leave_one_out(game), wanted)
