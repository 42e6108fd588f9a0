"""What decoders are fitted to: masks with the mean and the number of their values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

_EQUAL = 1e-12  # range of values, of 1 in all samples, that is rounding


@dataclass(frozen=True)
class Samples:
    """Masks and their values.

    Attributes:
        masks: bool (m, n), True = present; distinct, unless values are of some questions only.
        values: float64 (m,), the mean of each mask's values.
        counts: float64 (m,), how often each mask was evaluated, or how many questions a value is the mean of.
        asked: float64 (m, e), the weight of each question in each value, which add up to 1; None where values
            are of all questions.
        centre: float64 (n,), what the logarithms of relevances are drawn to, up to a constant (see
            `gp.gradients`); None to draw them to each other.
    """

    masks: Bool[np.ndarray, "m n"]
    values: Float64[np.ndarray, " m"]
    counts: Float64[np.ndarray, " m"]
    asked: Float64[np.ndarray, "m e"] | None = None
    centre: Float64[np.ndarray, " n"] | None = None

    def rows(self, chosen: Any) -> Samples:
        """The samples at some indices."""
        asked = None if self.asked is None else self.asked[chosen]
        masks, values, counts = self.masks[chosen], self.values[chosen], self.counts[chosen]
        return replace(self, masks=masks, values=values, counts=counts, asked=asked)

    @property
    def overlap(self) -> Float64[np.ndarray, "m m"] | None:
        """The chance that a question of one value is that of another; see `likelihood.learn`."""
        return None if self.asked is None else self.asked @ self.asked.T

    def moments(self) -> tuple[float, float]:
        """Mean and standard deviation; the latter is 1.0 for values that do not differ."""
        mean = float(np.average(self.values, weights=self.counts))
        return mean, float(np.average((self.values - mean) ** 2, weights=self.counts)) ** 0.5 or 1.0

    def error(self, residuals: Float64[np.ndarray, " m"]) -> float:
        """Sum of squared residuals (m,), each counted as often as its mask was evaluated."""
        return float(self.counts @ residuals**2)


def r2_of(
    predicted: Float64[np.ndarray, " m"],
    data: Samples,
    noise: Float64[np.ndarray, " m"] | None = None,
) -> float:
    """R² of predictions of the samples, every evaluation counted; 0.0 of samples that are all equal.

    With the variance of the ``noise`` of each sample (m,), R² of what they would be without it; 0.0 where
    noise is all there is.
    """
    if np.ptp(data.values) <= _EQUAL:
        return 0.0
    taken = 0.0 if noise is None else float(data.counts @ noise)
    spread = data.error(data.values - data.moments()[0]) - taken
    if spread <= 0:
        return 0.0
    return min(1.0 - (data.error(data.values - predicted) - taken) / spread, 1.0)
