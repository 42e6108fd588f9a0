"""How well a surrogate explains values that it has not seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float64

from spex_mech.core.answers import Answers
from spex_mech.core.errors import InputError
from spex_mech.core.estimates import Estimate


def faithfulness(
    spectrum: Callable[[Bool[np.ndarray, "m n"]], Float64[np.ndarray, " m"]],
    masks: Bool[np.ndarray, "m n"],
    values: npt.ArrayLike,
) -> float:
    """R² of a surrogate on masks that were held out: 1 - sum (f - g)^2 / sum (f - mean f)^2.

    Args:
        spectrum: a `Spectrum`, or any function from masks (m, n) to values (m,).
        masks: bool (m, n), True = present; R² is too high on masks that the decoder has seen.
        values: float64 (m,), the true values f of the masks.

    Returns:
        1 for a perfect surrogate, 0 for one as good as the mean, negative for a worse one.

    Raises:
        InputError: values of the wrong length, not finite, or all equal (R² is not defined).
    """
    truth = np.asarray(values, dtype=np.float64)
    if truth.shape != (len(masks),):
        raise InputError(
            f"values have shape {truth.shape}, expected ({len(masks)},): one for each mask"
        )
    if not np.isfinite(truth).all():
        row = int(np.flatnonzero(~np.isfinite(truth))[0])
        raise InputError(f"value {truth[row]} of mask {row} is not finite; evaluate it again")
    spread = truth - truth.mean()
    if not np.ptp(truth) > 0:
        raise InputError(
            f"all {len(truth)} values are equal, so R² is not defined; hold out masks that differ"
        )
    error = truth - spectrum(masks)
    return float(1.0 - error @ error / (spread @ spread))


def r2_interval(
    predicted: Float64[np.ndarray, " m"],
    measured: Float64[np.ndarray, " m"],
    *,
    seed: int,
    level: float = 0.95,
    draws: int = 10_000,
) -> Estimate:
    """R² with a percentile bootstrap interval over masks.

    Args:
        predicted: float64 (m,), the surrogate's values of held-out masks.
        measured: float64 (m,), the game's values.
        seed: seed of the resampling.
        level: coverage, between 0 and 1.
        draws: bootstrap samples.

    Raises:
        InputError: values that do not fit together, or are all equal.
    """
    m = len(measured)
    mean = faithfulness(lambda masks: predicted, np.empty((m, 0), dtype=bool), measured)
    counts = np.random.default_rng(seed).multinomial(m, np.full(m, 1 / m), size=draws)
    centred = measured - measured.mean()
    spread = counts @ centred**2 - (counts @ centred) ** 2 / m
    defined = spread > 1e-12 * (centred @ centred)  # samples with one mask only have no R²
    errors = counts[defined] @ (measured - predicted) ** 2
    tail = (1 - level) / 2
    low, high = np.quantile(1 - errors / spread[defined], [tail, 1 - tail])
    return Estimate(mean, float(low), float(high), m, level)


def answers_r2(
    predicted: Float64[np.ndarray, " m"],
    answers: Answers,
    levels: Float64[np.ndarray, " e"],
    *,
    seed: int,
    level: float = 0.95,
    draws: int = 2_000,
) -> Estimate:
    """R² of predicted means over all questions, from held-out masks that were asked some of them.

    A mask's mean answer differs from its mean over all questions by noise, whose variance s² (1 / q - 1 / e)
    follows from the variance s² between answers under one mask (sampling without replacement, Cochran 1977,
    theorem 2.2). It is taken off the mean squared error and off the variance of the values, which makes both
    unbiased. The interval is a percentile bootstrap over masks, in which s² is estimated anew.

    Args:
        predicted: float64 (m,), the surrogate's values of the masks.
        answers: answers under the m masks, two or more under each.
        levels: float64 (e,), the level of each question, from the masks that the surrogate was fitted to.
        seed: seed of the resampling.
        level: coverage, between 0 and 1.
        draws: bootstrap samples.

    Raises:
        InputError: masks with one answer only, or values between which there is nothing but noise.
    """
    counts = answers.counts
    if counts.min() < 2 and answers.questions > 1:
        raise InputError(
            "a held-out mask has a single answer, whose noise cannot be told; ask each of them 2 questions"
        )
    means = answers.means(levels)
    left = answers.values - levels[answers.question] + float(np.nanmean(levels))
    squares = np.bincount(answers.mask, weights=(left - means[answers.mask]) ** 2)
    share = 1.0 / counts - 1.0 / answers.questions
    errors, centre = (means - predicted) ** 2, means - means.mean()

    def ratio(drawn: Float64[np.ndarray, "k m"]) -> Float64[np.ndarray, " k"]:
        noise = (drawn @ squares) / np.maximum(drawn @ (counts - 1.0), 1.0)
        taken = noise * (drawn @ share)
        spread = drawn @ centre**2 - (drawn @ centre) ** 2 / len(means) - taken
        spread = np.where(spread > 0, spread, np.nan)
        return np.minimum(1.0 - (drawn @ errors - taken) / spread, 1.0)

    mean = float(ratio(np.ones((1, len(means))))[0])
    if not np.isfinite(mean):
        raise InputError(
            f"the {len(means)} held-out masks differ by no more than the noise of their answers, so R² is "
            "not defined; hold out more masks, or ask each more questions"
        )
    rng = np.random.default_rng(seed)
    found = ratio(
        rng.multinomial(len(means), np.full(len(means), 1 / len(means)), size=draws).astype(float)
    )
    tail = (1 - level) / 2
    low, high = np.nanquantile(found, [tail, 1 - tail])
    return Estimate(mean, float(low), float(high), len(means), level)
