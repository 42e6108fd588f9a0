r"""Gaussian processes on warped values: latents in which values spread evenly, and the way back.

Scores that saturate (probabilities, accuracies) are not a sum of a few interactions. But they are often
a function of a latent quantity that is. So the values are warped, v = w(y), a Gaussian process learns v,
and a smooth link turns its predictions into values. The link is fitted to predictions of held-out masks,
not to the latents themselves, because these predictions vary less than the latents and the link has to
correct for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int64

from spex_mech.decoders.samples import Samples

_LATENT_RANGE = 4.0
_ROUNDING = 1e-9  # of the range of the values: what is closer counts as equal
_PENALTY = 1e-3  # on the link's coefficients, for each mask
_OVERSHOOT = 0.5  # standard deviations by which a prediction may leave the range of the values
_MARGIN = 0.05  # of the range of the values, to where the logistic function saturates
_WEIGHT_RANGE = (0.05, 10.0)


def rank_gaussian(data: Samples) -> Samples:
    """Replace values by the normal quantiles of their ranks; equal values keep equal latents."""
    from scipy.special import ndtri

    inverse = levels_of(data.values)
    mass = np.bincount(inverse, weights=data.counts)
    middle = (np.cumsum(mass) - 0.5 * mass) / mass.sum()
    return replace(data, values=ndtri(middle)[inverse])


def levels_of(values: Float64[np.ndarray, " m"]) -> Int64[np.ndarray, " m"]:
    """The level of each value (m,), from 0 for the smallest; values that differ by rounding share one."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    apart = np.diff(ordered) > _ROUNDING * (ordered[-1] - ordered[0])
    levels = np.empty(len(values), dtype=np.int64)
    levels[order] = np.concatenate([[0], np.cumsum(apart)])
    return levels


def logistic(data: Samples) -> Samples:
    """Replace values by the logit of their position p in their range, which is widened by 5 %.

    An error in y becomes an error in the latent that is 1 / (p (1 - p)) times as large, and the latents
    are weighted accordingly.
    """
    low, high = float(data.values.min()), float(data.values.max())
    if not high > low:
        return replace(data, values=np.zeros(len(data.values)))
    p = (data.values - low + _MARGIN * (high - low)) / ((high - low) * (1.0 + 2.0 * _MARGIN))
    weight = (p * (1.0 - p)) ** 2
    weight = np.clip(weight / np.average(weight, weights=data.counts), *_WEIGHT_RANGE)
    return replace(data, values=np.log(p / (1.0 - p)), counts=data.counts * weight)


@dataclass(frozen=True, eq=False)
class Link:
    """From predicted latents to values: a + b u + c u² + d u³ + e tanh 2u, with u the standardised latent.

    Attributes:
        shift: subtracted from the latents.
        scale: what the latents are then divided by.
        coefficients: float64 (5,), a to e.
        low: predictions are clipped to be at least this.
        high: predictions are clipped to be at most this.
    """

    shift: float
    scale: float
    coefficients: Float64[np.ndarray, " 5"]
    low: float
    high: float

    @classmethod
    def fit(
        cls,
        latents: Float64[np.ndarray, " m"],
        values: Float64[np.ndarray, " m"],
        counts: Float64[np.ndarray, " m"],
    ) -> Link:
        """The least-squares link of predicted latents (m,) to the values (m,) behind them."""
        shift = float(np.average(latents, weights=counts))
        scale = float(np.average((latents - shift) ** 2, weights=counts)) ** 0.5 or 1.0
        columns = _columns((latents - shift) / scale)
        weighted = columns.T * counts
        penalty = _PENALTY * counts.sum() * np.diag([0.0, 1.0, 1.0, 1.0, 1.0])
        coefficients = np.linalg.solve(weighted @ columns + penalty, weighted @ values)
        room = _OVERSHOOT * float(values.std())
        low, high = float(values.min()) - room, float(values.max()) + room
        return cls(shift, scale, coefficients, low, high)

    def __call__(self, latents: Float64[np.ndarray, " k"]) -> Float64[np.ndarray, " k"]:
        """Values (k,) for predicted latents (k,)."""
        values = _columns((latents - self.shift) / self.scale) @ self.coefficients
        return np.clip(values, self.low, self.high)


def _columns(u: Float64[np.ndarray, " k"]) -> Float64[np.ndarray, "k 5"]:
    u = np.clip(u, -_LATENT_RANGE, _LATENT_RANGE)
    return np.stack([np.ones_like(u), u, u**2, u**3, np.tanh(2.0 * u)], axis=1)
