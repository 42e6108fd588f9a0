"""Linear models on Fourier terms: design columns and ridge regression with exact leave-one-out error.

`sklearn.linear_model.RidgeCV` gives the same coefficients (to 1e-14; where two penalties all but tie, it may
choose the other one) but takes 1.3 times (400 masks, 1000 terms) to 13 times (1600 masks, 500 terms) as long
at 29 penalties.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, UInt64

from spex_mech.core.masks import pack


def parities(
    masks: Bool[np.ndarray, "m n"], words: UInt64[np.ndarray, "s w"]
) -> Float64[np.ndarray, "m s"]:
    """Fourier terms as columns, (-1)^{|S ∩ x|}, each entry +1 or -1. Takes memory for m x s floats."""
    rows = pack(masks)
    odd = np.zeros((len(rows), len(words)), dtype=np.uint8)
    for k in range(words.shape[1]):
        odd ^= np.bitwise_count(rows[:, k, None] & words[None, :, k]) & np.uint8(1)
    return 1.0 - 2.0 * odd


@dataclass(frozen=True)
class Ridge:
    """The ridge solution at the penalty of least leave-one-out error.

    Attributes:
        intercept: the constant, which is not penalised.
        coefficients: float64 (s,).
        penalty: the chosen penalty.
        error: mean squared leave-one-out error at that penalty.
    """

    intercept: float
    coefficients: Float64[np.ndarray, " s"]
    penalty: float
    error: float


def ridge(
    columns: Float64[np.ndarray, "m s"],
    values: Float64[np.ndarray, " m"],
    *,
    weights: Float64[np.ndarray, " m"] | None = None,
    penalties: Float64[np.ndarray, " p"] | None = None,
) -> Ridge:
    """Weighted ridge regression; the penalty is chosen by exact leave-one-out error.

    Minimises sum_j w_j (y_j - b - c·z_j)^2 + penalty |c|^2. Leave-one-out residuals come from the
    hat matrix (Golub, Heath and Wahba 1979), with one eigendecomposition for all penalties.

    Args:
        columns: float64 (m, s).
        values: float64 (m,).
        weights: positive float64 (m,), default 1.
        penalties: candidates, by default 29 from 1e-6 to 10 times the largest eigenvalue.
    """
    m, s = columns.shape
    w = np.ones(m) if weights is None else weights
    share = w / w.sum()
    root = np.sqrt(w)
    center, mean = share @ columns, float(share @ values)
    z, y = root[:, None] * (columns - center), root * (values - mean)
    dual = s > m  # then work with the masks' inner products instead of the terms'
    eigen, basis = np.linalg.eigh(z @ z.T if dual else z.T @ z)
    eigen = np.maximum(eigen, 0.0)
    if penalties is None:
        penalties = max(float(eigen.max(initial=0.0)), 1e-300) * np.logspace(-6, 1, 29)
    # With z = u d v', fitted values are u (d^2 / (d^2 + penalty)) u' y and u d = left.
    left = basis * np.sqrt(eigen) if dual else z @ basis
    right = left.T @ y
    inverse = 1.0 / (eigen[:, None] + penalties)
    residual = y[:, None] - left @ (inverse * right[:, None])
    hat = (left**2) @ inverse + share[:, None]
    errors = ((residual / np.maximum(1.0 - hat, 1e-9)) ** 2).sum(axis=0) / w.sum()
    best = int(np.argmin(errors))
    if dual:
        coefficients = z.T @ (basis @ (inverse[:, best] * (basis.T @ y)))
    else:
        coefficients = basis @ (inverse[:, best] * right)
    intercept = mean - float(center @ coefficients)
    return Ridge(intercept, coefficients, float(penalties[best]), float(errors[best]))
