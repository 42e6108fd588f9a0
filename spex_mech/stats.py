"""Statistics of claims: a difference on the same questions, with its interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from spex_mech.errors import InputError


@dataclass(frozen=True)
class Estimate:
    """A mean with a bootstrap interval.

    Attributes:
        mean: the sample mean.
        low: lower end of the interval.
        high: upper end of the interval.
        n: number of examples.
        level: coverage that the interval aims at.
    """

    mean: float
    low: float
    high: float
    n: int
    level: float

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def bootstrap_mean(
    values: Float64[np.ndarray, " e"], *, seed: int, level: float = 0.95, draws: int = 10_000
) -> Estimate:
    """Mean of per-example values with a percentile bootstrap interval over the examples.

    Args:
        values: float64 (e,), one value an example.
        seed: seed of the resampling.
        level: coverage, between 0 and 1.
        draws: number of bootstrap samples.

    Raises:
        InputError: fewer than two examples.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise InputError(f"an interval needs at least two examples, got shape {values.shape}")
    # Counts of each example in a bootstrap sample are multinomial: no index array is needed.
    counts = np.random.default_rng(seed).multinomial(
        len(values), np.full(len(values), 1 / len(values)), size=draws
    )
    means = counts @ values / len(values)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(float(values.mean()), float(low), float(high), len(values), level)


def paired_difference(
    a: Float64[np.ndarray, " e"], b: Float64[np.ndarray, " e"], *, seed: int, level: float = 0.95
) -> Estimate:
    """Mean of a − b on the same examples, with a paired bootstrap interval; positive = a is higher.

    Args:
        a: float64 (e,), one value an example.
        b: float64 (e,), the other system's values on the same examples in the same order.
        seed: seed of the resampling.
        level: coverage, between 0 and 1.

    Raises:
        InputError: different numbers of examples, or fewer than two.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        raise InputError(
            f"paired values have shapes {a.shape} and {b.shape}; score the same examples"
        )
    return bootstrap_mean(a - b, seed=seed, level=level)
