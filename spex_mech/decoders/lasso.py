"""LASSO on all Fourier terms of low order: the baseline of the SPEX papers."""

from __future__ import annotations

import warnings
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float64, Int64, UInt64

from spex_mech.core.errors import InputError
from spex_mech.core.packed import pack_supports
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.checks import check_values, constant_spectrum
from spex_mech.decoders.ridge import parities
from spex_mech.designs.design import MaskDesign

MAX_ENTRIES = 1 << 28
_PENALTIES = np.logspace(0.0, -3.0, 40)  # as parts of the least that leaves no term


def lasso(
    design: MaskDesign, values: npt.ArrayLike, *, order: int = 2, seed: int = 0, folds: int = 5
) -> Spectrum:
    """Fit all Fourier terms of at most ``order`` players by LASSO (arXiv 2502.13870, section 6).

    The penalty comes from cross-validation over shuffled folds.

    Args:
        design: any masks.
        values: float64 (m,).
        order: largest number of players in a term.
        seed: seed of the folds.
        folds: number of folds.

    Raises:
        InputError: values that do not fit the design; fewer than ``folds`` masks; an order outside of
            1..n; more than 2^28 entries in the matrix of masks and terms.
    """
    y = check_values(design, values)
    n, m = design.n, len(design)
    if not 1 <= order <= n:
        raise InputError(f"order is {order}, expected 1 to {n} for {n} players")
    count = sum(comb(n, k) for k in range(1, order + 1))
    if m * count > MAX_ENTRIES:
        raise InputError(
            f"{m} masks x {count} terms of order <= {order} do not fit in memory (at most 2^28 "
            "entries); lower the order or use proxyspex"
        )
    if constant := constant_spectrum(design, y, "lasso"):
        return constant
    if m < 2 * folds:
        raise InputError(f"{m} masks are too few for lasso, which needs {2 * folds}; add masks")
    from sklearn.linear_model import LassoCV
    from sklearn.model_selection import KFold

    words = _low_order(n, order)
    columns = parities(design.masks, words)
    split = KFold(folds, shuffle=True, random_state=seed)
    scale = y.std()
    model = LassoCV(cv=split, alphas=60, eps=1e-3, tol=1e-3, max_iter=5000)
    model.fit(columns, (y - y.mean()) / scale)
    kept = np.flatnonzero(model.coef_)
    r2 = 1.0 - float(model.mse_path_.mean(axis=1).min())
    coefficients = np.append(scale * model.coef_[kept], scale * model.intercept_ + y.mean())
    words = np.vstack([words[kept], np.zeros((1, words.shape[1]), dtype=np.uint64)])
    message = f"LASSO kept {len(kept)} of {count} terms of order <= {order}; expect R² {r2:.3f}"
    return Spectrum(words, coefficients, n, {"method": "lasso", "r2_cv": r2, "message": message})


def lasso_folds(
    masks: Bool[np.ndarray, "m n"],
    values: Float64[np.ndarray, " m"],
    weights: Float64[np.ndarray, " m"],
    fold: Int64[np.ndarray, " m"],
    *,
    order: int,
) -> tuple[Spectrum, Float64[np.ndarray, " m"]]:
    """LASSO on all terms of at most ``order`` players, and its predictions of each fold from the others.

    The penalty is the one of the least held-out error; for the predictions of a fold, that of the others.

    Args:
        masks: bool (m, n), distinct.
        values: float64 (m,), standardised.
        weights: float64 (m,).
        fold: int64 (m,), each mask's fold, 0, 1, ...
        order: largest number of players in a term.
    """
    words = _low_order(masks.shape[1], order)
    columns = parities(masks, words)
    share = weights / weights.sum()
    largest = np.abs((columns - share @ columns).T @ (share * (values - share @ values))).max()
    penalties = max(float(largest), 1e-12) * _PENALTIES
    held_out = np.empty((len(values), len(penalties)))
    for k in range(int(fold.max()) + 1):
        rows = fold != k
        slopes, intercepts = _path(columns[rows], values[rows], weights[rows], penalties)
        held_out[~rows] = columns[~rows] @ slopes + intercepts
    squares = weights[:, None] * (values[:, None] - held_out) ** 2
    predicted = np.empty(len(values))
    for k in range(int(fold.max()) + 1):
        rows = fold == k
        predicted[rows] = held_out[rows, np.argmin(squares[~rows].sum(axis=0))]
    best = int(np.argmin(squares.sum(axis=0)))
    slopes, intercepts = _path(columns, values, weights, penalties[: best + 1])
    kept = np.flatnonzero(slopes[:, -1])
    constant = np.zeros((1, words.shape[1]), dtype=np.uint64)
    coefficients = np.append(slopes[kept, -1], intercepts[-1])
    spectrum = Spectrum(np.vstack([words[kept], constant]), coefficients, masks.shape[1])
    return spectrum, predicted


def _low_order(n: int, order: int) -> UInt64[np.ndarray, "s w"]:
    supports = [s for k in range(1, order + 1) for s in combinations(range(n), k)]
    return pack_supports(supports, n)


def _path(
    columns: Float64[np.ndarray, "m s"],
    values: Float64[np.ndarray, " m"],
    weights: Float64[np.ndarray, " m"],
    penalties: Float64[np.ndarray, " p"],
) -> tuple[Float64[np.ndarray, "s p"], Float64[np.ndarray, " p"]]:
    """Slopes and intercepts of weighted LASSO at each penalty, largest first."""
    from sklearn import linear_model

    share = weights / weights.sum()
    center, mean = share @ columns, float(share @ values)
    root = np.sqrt(share * len(values))[:, None]
    z, y = root * (columns - center), root[:, 0] * (values - mean)
    gram = len(values) > columns.shape[1]
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # a smallest penalty that has not converged is none to choose
        _, slopes, _ = linear_model.lasso_path(
            z, y, precompute=gram, alphas=penalties.tolist(), tol=1e-3, max_iter=1000
        )
    return slopes, mean - center @ slopes
