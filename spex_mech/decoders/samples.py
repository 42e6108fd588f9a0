"""What decoders are fitted to: distinct masks with the mean and the number of their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64


@dataclass(frozen=True)
class Samples:
    """Distinct masks and their values.

    Attributes:
        masks: bool (m, n), True = present.
        values: float64 (m,), the mean of each mask's values.
        counts: float64 (m,), how often each mask was evaluated.
    """

    masks: Bool[np.ndarray, "m n"]
    values: Float64[np.ndarray, " m"]
    counts: Float64[np.ndarray, " m"]

    def rows(self, chosen: Any) -> Samples:
        """The samples at some indices."""
        return Samples(self.masks[chosen], self.values[chosen], self.counts[chosen])

    def moments(self) -> tuple[float, float]:
        """Mean and standard deviation; the latter is 1.0 for values that do not differ."""
        mean = float(np.average(self.values, weights=self.counts))
        return mean, float(np.average((self.values - mean) ** 2, weights=self.counts)) ** 0.5 or 1.0

    def error(self, residuals: Float64[np.ndarray, " m"]) -> float:
        """Sum of squared residuals (m,), each counted as often as its mask was evaluated."""
        return float(self.counts @ residuals**2)
