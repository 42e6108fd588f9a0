"""Calibration: whether answers are right as often as the model is confident, from stored scores alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64

from spex_mech.core.errors import InputError


@dataclass(frozen=True, eq=False)
class Calibration:
    """Confidence and accuracy in equally wide bins of confidence.

    Attributes:
        error: expected calibration error, the mean over questions of their bin's |accuracy −
            confidence| (Guo et al. 2017, arXiv 1706.04599, equation 3).
        confidence: float64 (bins,), mean probability of the answer given, NaN in empty bins.
        accuracy: float64 (bins,), share of right answers, NaN in empty bins.
        count: int64 (bins,), number of questions.
    """

    error: float
    confidence: Float64[np.ndarray, " bins"]
    accuracy: Float64[np.ndarray, " bins"]
    count: Int64[np.ndarray, " bins"]


def calibrate(
    scores: Float32[np.ndarray, "e k"], right: Int64[np.ndarray, " e"], *, bins: int = 10
) -> Calibration:
    """Calibration of one model's answers; probabilities are the softmax of the answers' scores.

    Args:
        scores: (e, k), one row of a game's scores.
        right: int64 (e,), the right columns, as in ``game.prompts.right``.
        bins: number of bins between confidence 0 and 1.

    Raises:
        InputError: shapes that do not agree, or no bins.
    """
    scores = np.asarray(scores, dtype=np.float64)
    right = np.asarray(right)
    if scores.ndim != 2 or right.shape != scores.shape[:1] or bins < 1:
        raise InputError(
            f"scores have shape {scores.shape}, right {right.shape}, bins is {bins}; expected (e, k), "
            "(e,) and at least 1"
        )
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    confidence = weights.max(axis=1) / weights.sum(axis=1)
    correct = scores.argmax(axis=1) == right
    bin_of = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    count = np.bincount(bin_of, minlength=bins)
    safe = np.where(count == 0, np.nan, count)
    means = [np.bincount(bin_of, weights=x, minlength=bins) / safe for x in (confidence, correct)]
    error = float(np.nansum(count * np.abs(means[1] - means[0])) / len(scores))
    return Calibration(error, means[0], means[1], count.astype(np.int64))
