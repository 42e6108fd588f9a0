"""How good attributions are: rank correlation with what retraining truly gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float64

from spex_mech.core.errors import InputError
from spex_mech.training_data.game import TrainingGame


def datamodelling_scores(
    predicted: npt.ArrayLike, margins: npt.ArrayLike
) -> Float64[np.ndarray, " t"]:
    """Linear datamodelling score of each test point (Park et al. 2023, arXiv 2303.14186, definition 2.4).

    Spearman's rank correlation, over subsets, of predicted and true values.

    Args:
        predicted: float (m, t), of subsets that no method has seen; `additive` for attributions.
        margins: float (m, t), the true values.

    Returns:
        float64 (t,), from −1 to 1; 0 where a method predicts the same for all subsets.

    Raises:
        InputError: arrays of different shapes, fewer than three subsets, or true values that are all
            equal.
    """
    from scipy.stats import spearmanr

    a, b = np.asarray(predicted, dtype=np.float64), np.asarray(margins, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 2 or len(a) < 3:
        raise InputError(
            f"predicted has shape {a.shape} and margins {b.shape}; expected both (subsets, test points) "
            "with three subsets or more"
        )
    flat = np.flatnonzero(np.ptp(b, axis=0) == 0)
    if len(flat):
        raise InputError(
            f"test point {flat[0]} has the same value on all {len(b)} subsets; leave it out"
        )
    scores = np.zeros(a.shape[1])
    for point in np.flatnonzero(np.ptp(a, axis=0) > 0):
        correlation: Any = spearmanr(a[:, point], b[:, point])
        scores[point] = correlation.statistic
    return scores


def additive(scores: npt.ArrayLike, masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, "m t"]:
    """What attributions (t, n) say of subsets: the sum over the examples that are present."""
    weights = np.asarray(scores, dtype=np.float64)
    if weights.ndim != 2 or weights.shape[1] != masks.shape[1]:
        raise InputError(
            f"scores have shape {weights.shape}, expected (test points, {masks.shape[1]} players)"
        )
    return masks @ weights.T


def leave_one_out(game: TrainingGame) -> Float64[np.ndarray, "t n"]:
    """What each player adds to all the others at each test point: n + 1 retrainings per seed.

    Returns:
        float64 (t, n), value with all minus value without the player.
    """
    n = game.players.n
    masks = np.concatenate([np.ones((1, n), dtype=bool), ~np.eye(n, dtype=bool)])
    values = game.per_point(game.scores(masks))
    return (values[0] - values[1:]).T
