"""Calibration: whether answers are right as often as the model is confident, from stored scores alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32, Float64, Int64

from spex_mech.core.errors import InputError
from spex_mech.core.estimates import Estimate, resampled_means


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
    bin_of, confidence, correct = _confidences(scores, right, bins)
    count = np.bincount(bin_of, minlength=bins)
    safe = np.where(count == 0, np.nan, count)
    means = [np.bincount(bin_of, weights=x, minlength=bins) / safe for x in (confidence, correct)]
    error = float(np.nansum(count * np.abs(means[1] - means[0])) / len(confidence))
    return Calibration(error, means[0], means[1], count.astype(np.int64))


def calibration_difference(
    a: Float32[np.ndarray, "e k"],
    b: Float32[np.ndarray, "e k"],
    right: Int64[np.ndarray, " e"],
    *,
    seed: int,
    bins: int = 10,
    level: float = 0.95,
    draws: int = 10_000,
) -> Estimate:
    """Calibration error of ``a`` minus that of ``b`` on the same questions, with a paired bootstrap interval.

    Questions are resampled, the same ones for both. A resampled sample has noisier bins, which makes both
    errors larger than they were; what that adds to the difference on average is taken off both ends.

    Args:
        a: (e, k), one model's scores; see `calibrate`.
        b: (e, k), the other model's.
        right: int64 (e,), the right columns.
        seed: seed of the resampling.
        bins: number of bins.
        level: coverage, between 0 and 1.
        draws: number of bootstrap samples.

    Returns:
        The difference; positive = a is calibrated worse.

    Raises:
        InputError: shapes that do not agree, or fewer than two questions.
    """
    if len(a) != len(b) or len(right) < 2:
        raise InputError(
            f"got scores of {len(a)} and {len(b)} questions; give the same questions for both, two or more"
        )
    # The error is the sum over bins of |mean of (right - confidence) over all questions, 0 outside the bin|.
    gaps = np.concatenate([_gaps(scores, right, bins) for scores in (a, b)], axis=1)
    errors = np.abs(np.vstack([gaps.mean(axis=0), resampled_means(gaps, seed, draws)]))
    differences = errors[:, :bins].sum(axis=1) - errors[:, bins:].sum(axis=1)
    found, resampled = float(differences[0]), differences[1:]
    tail = (1 - level) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail]) - (resampled.mean() - found)
    return Estimate(found, float(low), float(high), len(right), level)


def _confidences(
    scores: Float32[np.ndarray, "e k"], right: Int64[np.ndarray, " e"], bins: int
) -> tuple[Int64[np.ndarray, " e"], Float64[np.ndarray, " e"], npt.NDArray[np.bool_]]:
    """Every question's bin, its confidence, and whether its answer is right."""
    scores = np.asarray(scores, dtype=np.float64)
    right = np.asarray(right)
    if scores.ndim != 2 or right.shape != scores.shape[:1] or bins < 1:
        raise InputError(
            f"scores have shape {scores.shape}, right {right.shape}, bins is {bins}; expected (e, k), "
            "(e,) and at least 1"
        )
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    confidence = weights.max(axis=1) / weights.sum(axis=1)
    bin_of = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    return bin_of, confidence, scores.argmax(axis=1) == right


def _gaps(
    scores: Float32[np.ndarray, "e k"], right: Int64[np.ndarray, " e"], bins: int
) -> Float64[np.ndarray, "e bins"]:
    """Right (0 or 1) minus confidence of every question in the column of its bin, 0 in the others."""
    bin_of, confidence, correct = _confidences(scores, right, bins)
    gaps = np.zeros((len(bin_of), bins))
    gaps[np.arange(len(bin_of)), bin_of] = correct - confidence
    return gaps
