"""Bootstrap over questions of what is no plain mean: ratios, and many tests at once."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from spex_mech.core.estimates import Estimate

_BLOCK = 1_000_000  # numbers of resampling counts in memory at once


def means_of(
    values: Float64[np.ndarray, "e t"], *, seed: int, level: float = 0.95, draws: int = 10_000
) -> list[Estimate]:
    """Means of many columns with the intervals of `stats.bootstrap_mean`, all resampled at once.

    Args:
        values: float64 (e, t), a row for each question, a column for each mean. Of a single row, each
            mean is exact and its own interval.
        seed: seed of the resampling, which all columns share.
        level: coverage, between 0 and 1.
        draws: bootstrap samples.
    """
    e = len(values)
    tail = (1 - level) / 2
    ends = np.repeat(values, 2, axis=0)
    if e > 1:
        ends = np.quantile(_resampled(values, seed, draws), [tail, 1 - tail], axis=0)
    return [
        Estimate(float(mean), float(low), float(high), e, level)
        for mean, low, high in zip(values.mean(axis=0), *ends, strict=True)
    ]


def ratio_of_means(
    top: Float64[np.ndarray, " e"],
    bottom: Float64[np.ndarray, " e"],
    *,
    seed: int,
    level: float = 0.95,
    draws: int = 10_000,
) -> Estimate | None:
    """Mean of ``top`` over mean of ``bottom``, with a percentile bootstrap interval over questions.

    Both means are taken of the same resampled questions.

    Args:
        top: float64 (e,), one value a question.
        bottom: float64 (e,), of the same questions.
        seed: seed of the resampling.
        level: coverage, between 0 and 1.
        draws: bootstrap samples.

    Returns:
        The ratio; None where the interval of ``bottom``'s mean holds 0, which no ratio is sure of.
    """
    under = means_of(bottom[:, None], seed=seed, level=level, draws=draws)[0]
    if under.low <= 0 <= under.high:
        return None
    ratio = float(top.mean() / bottom.mean())
    e = len(top)
    if e == 1:
        return Estimate(ratio, ratio, ratio, 1, level)
    means = _resampled(np.stack([top, bottom], axis=1), seed, draws)
    tail = (1 - level) / 2
    low, high = np.quantile(means[:, 0] / means[:, 1], [tail, 1 - tail])
    return Estimate(ratio, float(low), float(high), e, level)


def sign_tests(
    differences: Float64[np.ndarray, "e t"], *, seed: int, tests: int | None = None
) -> Float64[np.ndarray, " t"]:
    """Two-sided bootstrap p-values of many paired differences being 0 on average.

    p = 2 min(1 + #{mean* <= 0}, 1 + #{mean* >= 0}) / (B + 1), mean* being the mean of resampled
    questions (Davison and Hinkley 1997, section 4.2); B grows with the number of tests, so that a
    correction for all of them leaves room to reject.

    Args:
        differences: float64 (e, t), a column for each test, a row for each question. With a single row
            the values are exact: p is 0 where they are not 0.
        seed: seed of the resampling, which all tests share.
        tests: number of tests that will be corrected for; default t.
    """
    e, t = differences.shape
    if e == 1:
        return np.where(np.abs(differences[0]) > 1e-9, 0.0, 1.0)
    draws = max(10_000, 200 * (tests or t))
    means = _resampled(differences, seed, draws)
    # Means that would be 0 are not, by rounding.
    tiny = 1e-12 * np.abs(differences).max(axis=0, initial=0.0)
    below, above = (means <= tiny).sum(axis=0), (means >= -tiny).sum(axis=0)
    return np.minimum(1.0, 2 * (1 + np.minimum(below, above)) / (draws + 1))


def holm(p: Float64[np.ndarray, " t"]) -> Float64[np.ndarray, " t"]:
    """Holm's adjusted p-values: all those below a level are false with probability at most that level."""
    order = np.argsort(p, kind="stable")
    scaled = p[order] * np.arange(len(p), 0, -1)
    out = np.empty_like(p)
    out[order] = np.minimum(1.0, np.maximum.accumulate(scaled))
    return out


def _resampled(values: np.ndarray, seed: int, draws: int) -> Float64[np.ndarray, "b t"]:
    """Means (draws, t) of resampled rows of values (e, t)."""
    e = len(values)
    rng = np.random.default_rng(seed)
    step = max(1, _BLOCK // e)
    even = np.full(e, 1 / e)
    blocks = [
        rng.multinomial(e, even, size=min(step, draws - start)) @ values / e
        for start in range(0, draws, step)
    ]
    return np.concatenate(blocks)
