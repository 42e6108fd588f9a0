"""Retraining noise: what another seed would have changed, and what R² it leaves to be explained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64

from spex_mech.core.errors import InputError


@dataclass(frozen=True, eq=False)
class SeedNoise:
    """The part of the values that seeds decide.

    Attributes:
        seeds: how many seeds each value averages.
        variance: float64 (t,), variance of a single training about the average over all seeds, at each
            test point, beyond what a seed adds to every mask alike.
        ceiling: float64 (t,), the highest R² that a surrogate of the average over all seeds can be
            expected to reach on values averaged over ``seeds``: 1 − variance / (seeds · variance of the
            values), from 0 to 1. Where the seeds are the same for all masks, part of their noise is a
            function of the mask that a surrogate can learn, and R² may come out above.
    """

    seeds: int
    variance: Float64[np.ndarray, " t"]
    ceiling: Float64[np.ndarray, " t"]


def seed_noise(values: npt.ArrayLike) -> SeedNoise:
    """Retraining noise from values of the same masks trained with several seeds.

    The variance is that of the interaction of mask and seed in a two-way table,
    sum (x_ms − x_m. − x_.s + x_..)² / ((m − 1)(s − 1)).

    Args:
        values: float (m, t, s), of every mask, test point and seed.

    Raises:
        InputError: fewer than two masks or seeds.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 3 or x.shape[0] < 2 or x.shape[2] < 2:
        raise InputError(
            f"values have shape {x.shape}, expected (masks, test points, seeds) with at least two masks "
            "and two seeds; evaluate a game with seeds=2 or more"
        )
    m, _, s = x.shape
    mean = x.mean(axis=2)
    rest = x - mean[:, :, None] - x.mean(axis=0) + mean.mean(axis=0)[:, None]
    variance = (rest**2).sum(axis=(0, 2)) / ((m - 1) * (s - 1))
    total = mean.var(axis=0, ddof=1)
    share = np.divide(variance / s, total, out=np.ones_like(total), where=total > 0)
    return SeedNoise(s, variance, np.clip(1.0 - share, 0.0, 1.0))
