"""How a posterior's errors grow towards small and large coalitions, and what that does to an index.

A Gaussian process has the same noise everywhere. But games are often rougher where few players or nearly all
are present, and Shapley-type indices rest on such coalitions. The squared leave-one-out residuals, in units
of what the posterior expects of them, show it at the sizes that were evaluated: the logarithm of their
expectation is taken to rise or fall linearly from half of the players on, with one slope for each side, and
the lines are followed to the sizes that were not evaluated.
"""

from __future__ import annotations

from math import comb

import numpy as np
from jaxtyping import Bool, Float64, Int64

from spex_mech.core.evidence import size_weights
from spex_mech.core.index_functional import IndexFunctional

_SLOPE = (
    2.0  # prior standard deviation of a slope: e^2 from the middle to an end is nothing unusual
)
_FLAT = 1e-6  # weight of the penalty on the level
_STEPS, _LONGEST = 50, 1.0  # of Newton's method


def slopes_of(
    squares: Float64[np.ndarray, " m"], sizes: Int64[np.ndarray, " m"], n: int
) -> Float64[np.ndarray, " 3"]:
    """Level and slopes of the logarithm of the squares' expectation, towards no and towards all players.

    They maximise the likelihood of normal residuals times a normal prior of deviation 2 on the slopes.

    Args:
        squares: float64 (m,), squared residuals in units of their expected variance.
        sizes: int64 (m,), number of players of each coalition.
        n: number of players.
    """
    columns = _columns(sizes, n)
    penalty = np.diag([_FLAT, _SLOPE**-2, _SLOPE**-2])
    found = np.zeros(3)
    for _ in range(_STEPS):
        ratio = squares / np.exp(columns @ found)
        slope = 0.5 * columns.T @ (ratio - 1.0) - penalty @ found
        curvature = 0.5 * (columns.T * ratio) @ columns + penalty
        step = np.clip(np.linalg.solve(curvature, slope), -_LONGEST, _LONGEST)
        found += step
        if np.abs(step).max() < 1e-9:
            break
    return found


def growth(
    slopes: Float64[np.ndarray, " 3"],
    masks: Bool[np.ndarray, "m n"],
    size: int,
    functional: IndexFunctional,
) -> float:
    """By what the standard deviation of an index grows: at least 1.

    Its square is the mean of the trend over all coalitions that were not evaluated, weighted by the squares
    of their weights in the index.

    Args:
        slopes: of `slopes_of`.
        masks: bool (m, n), distinct coalitions that were evaluated.
        size: number of players of the sets.
        functional: the index.
    """
    n = masks.shape[1]
    weights, logs = size_weights(n, size, functional)
    counts = np.bincount(masks.sum(axis=1), minlength=n + 1).tolist()
    left = np.array([1.0 - counts[s] / comb(n, s) for s in range(n + 1)])
    choices = np.array([comb(size, u) for u in range(size + 1)], dtype=np.float64)
    shares = np.maximum(left, 0.0) * ((weights**2 * np.exp(-logs)) @ choices)
    total = float(shares.sum())
    if total <= 0.0:
        return 1.0
    trend = np.exp(_columns(np.arange(n + 1), n) @ slopes)
    return float(np.sqrt(max(1.0, float(shares @ trend) / total)))


def _columns(sizes: Int64[np.ndarray, " m"], n: int) -> Float64[np.ndarray, "m 3"]:
    """1, and the distances from half of the players to either side, in units of that half."""
    away = (sizes - n / 2.0) / (n / 2.0)
    return np.stack([np.ones(len(away)), np.maximum(-away, 0.0), np.maximum(away, 0.0)], axis=1)
