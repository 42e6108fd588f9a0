"""The weights of a stack: non-negative least squares on held-out predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

_SPREAD = 0.3  # prior standard deviation of a weight about 1 / k


@dataclass(frozen=True, eq=False)
class Blend:
    """A weighted sum of k predictions about a common mean: mean + sum_k w_k (p_k - mean).

    Attributes:
        mean: the mean of the values.
        weights: float64 (k,), not negative; they need not add up to 1.
    """

    mean: float
    weights: Float64[np.ndarray, " k"]

    @classmethod
    def fit(
        cls,
        predictions: Float64[np.ndarray, "m k"],
        values: Float64[np.ndarray, " m"],
        counts: Float64[np.ndarray, " m"],
    ) -> Blend:
        """Non-negative least squares with a penalty that draws the weights towards equal ones.

        Minimises sum_j c_j (y_j - mean - w·(p_j - mean))^2 + (e / 0.3)^2 |w - 1/k|^2, with e^2 the mean
        squared error of the best member, which is a normal prior on the weights. So the weights are
        nearly equal where few masks tell the members apart, and one member gets all the weight where it
        alone is exact.

        Args:
            predictions: float64 (m, k), of masks that the members were not fitted to.
            values: float64 (m,).
            counts: float64 (m,), the weight of each mask.
        """
        from scipy.optimize import nnls

        k = predictions.shape[1]
        mean = float(np.average(values, weights=counts))
        errors = counts @ (predictions - values[:, None]) ** 2 / counts.sum()
        size = float(np.average((values - mean) ** 2, weights=counts)) ** 0.5 or 1.0
        ridge = np.sqrt(float(errors.min())) / size / _SPREAD
        root = np.sqrt(counts) / size
        columns = np.vstack([root[:, None] * (predictions - mean), ridge * np.eye(k)])
        target = np.append(root * (values - mean), np.full(k, ridge / k))
        return cls(mean, nnls(columns, target)[0])

    def __call__(self, predictions: Float64[np.ndarray, "m k"]) -> Float64[np.ndarray, " m"]:
        """Blend the members' predictions (m, k)."""
        return self.mean + (predictions - self.mean) @ self.weights


def blend_held_out(
    predictions: Float64[np.ndarray, "m k"],
    values: Float64[np.ndarray, " m"],
    counts: Float64[np.ndarray, " m"],
    fold: Int64[np.ndarray, " m"],
) -> Float64[np.ndarray, " m"]:
    """The stack's predictions of each fold, with weights fitted to the other folds."""
    out = np.empty(len(values))
    for k in range(int(fold.max()) + 1):
        rows = fold != k
        out[~rows] = Blend.fit(predictions[rows], values[rows], counts[rows])(predictions[~rows])
    return out
