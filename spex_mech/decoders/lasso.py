"""LASSO on all Fourier terms of low order: the baseline of the SPEX papers."""

from __future__ import annotations

import warnings
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64, Int64, UInt64

from spex_mech.core.errors import InputError
from spex_mech.core.packed import pack_supports
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.active_set import exact_path
from spex_mech.decoders.checks import check_values, check_weights, constant_spectrum
from spex_mech.decoders.ridge import parities
from spex_mech.decoders.samples import Samples, r2_of
from spex_mech.designs.design import MaskDesign

MAX_ENTRIES = 1 << 28
_PENALTIES = np.logspace(0.0, -3.0, 60)  # as parts of the least that leaves no term
_COARSE, _FINE = 1e-3, 1e-6  # duality gaps of the descents, as parts of the values' sum of squares
_IN_REACH = 1.01  # a penalty may be the best while its coarse error is at most this times the least
_MANY_TERMS = 4000  # beyond which a descent over all of them costs more than choosing
_MOST_PASSES = 5000  # of a descent, where no fewer are set
_SMALL = 50_000  # entries of a matrix over which these take less than a second
_BROKEN = 1e-3  # part of the penalty by which a correlation may exceed it
_TIE = 1e-9  # relative difference of errors that rounding may decide


def lasso(
    design: MaskDesign,
    values: npt.ArrayLike,
    *,
    order: int = 2,
    seed: int = 0,
    folds: int = 5,
    weights: npt.ArrayLike | None = None,
    noise: float = 0.0,
) -> Spectrum:
    """Fit all Fourier terms of at most ``order`` players by LASSO (arXiv 2502.13870, section 6).

    The penalty comes from cross-validation over shuffled folds.

    Args:
        design: any masks.
        values: float64 (m,).
        order: largest number of players in a term.
        seed: seed of the folds.
        folds: number of folds.
        weights: float64 (m,), how many answers each value is the mean of; by default 1.
        noise: variance of a single answer about its mask's value. It is taken off the errors and the values
            in ``r2_cv``, which is then that of values without noise.

    Raises:
        InputError: values or weights that do not fit the design; fewer than ``folds`` masks; an order
            outside of 1..n; more than 2^28 entries in the matrix of masks and terms.
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
    from sklearn.model_selection import KFold

    fold = np.empty(m, dtype=np.int64)
    for k, (_, test) in enumerate(KFold(folds, shuffle=True, random_state=seed).split(y)):
        fold[test] = k
    w = check_weights(design, weights)
    shift, scale = float(np.average(y, weights=w)), float(y.std())
    data = Samples(design.masks, (y - shift) / scale, w)
    standard, predicted, r2 = lasso_folds(data, fold, order=order)
    if noise:
        r2 = r2_of(predicted, data, noise / scale**2 / w)
    kept = int(standard.words.any(axis=1).sum())
    constant_term = np.where(standard.words.any(axis=1), 0.0, shift)
    message = f"LASSO kept {kept} of {count} terms of order <= {order}; expect R² {r2:.3f}"
    info = {"method": "lasso", "r2_cv": r2, "message": message}
    return Spectrum(standard.words, scale * standard.coefficients + constant_term, n, info)


def lasso_folds(
    data: Samples, fold: Int64[np.ndarray, " m"], *, order: int
) -> tuple[Spectrum, Float64[np.ndarray, " m"], float]:
    """LASSO on all terms of at most ``order`` players, and its predictions of each fold from the others.

    The penalty is the one with the least held-out error; of penalties whose errors differ only by
    rounding, the largest. For the predictions of a fold, the penalty is chosen by the other folds.
    Penalties are tried with a coarse descent first, because small ones take longest to converge and are
    seldom the best. Those that remain are descended to the end, or solved by an active set where that takes
    too long, as it does in games without noise.

    Args:
        data: samples with standardised values.
        fold: int64 (m,), each mask's fold, 0, 1, ...
        order: largest number of players in a term.

    Returns:
        The spectrum of all masks, the predictions (m,), and the cross-validated R² at the penalty.
    """
    values, weights, n = data.values, data.counts, data.masks.shape[1]
    words = _low_order(n, order)
    columns = parities(data.masks, words)
    share = weights / weights.sum()
    centred = values - share @ values
    largest = float(np.abs((columns - share @ columns).T @ (share * centred)).max())
    penalties = max(largest, 1e-12) * _PENALTIES

    def squares(penalties: Float64[np.ndarray, " p"], gap: float) -> Float64[np.ndarray, "m p"]:
        """Weighted squared errors of the held-out predictions, which stay in ``held_out``."""
        for k in range(int(fold.max()) + 1):
            rows = fold != k
            slopes, intercepts = _path(columns[rows], values[rows], weights[rows], penalties, gap)
            held_out[~rows, : len(penalties)] = columns[~rows] @ slopes + intercepts
        return weights[:, None] * (values[:, None] - held_out[:, : len(penalties)]) ** 2

    held_out = np.empty((len(values), len(penalties)))
    coarse = squares(penalties, _COARSE).sum(axis=0)
    penalties = penalties[: np.flatnonzero(coarse <= _IN_REACH * coarse.min())[-1] + 1]
    errors = squares(penalties, _FINE)
    predicted = np.empty(len(values))
    for k in range(int(fold.max()) + 1):
        rows = fold == k
        predicted[rows] = held_out[rows, _least(errors[~rows].sum(axis=0))]
    total = errors.sum(axis=0)
    best = _least(total)
    slopes, intercepts = _path(columns, values, weights, penalties[: best + 1], _FINE)
    kept = np.flatnonzero(slopes[:, -1])
    constant = np.zeros((1, words.shape[1]), dtype=np.uint64)
    coefficients = np.append(slopes[kept, -1], intercepts[-1])
    spectrum = Spectrum(np.vstack([words[kept], constant]), coefficients, n)
    return spectrum, predicted, 1.0 - float(total[best] / (weights @ centred**2))


def _least(errors: Float64[np.ndarray, " p"]) -> int:
    """Index of the least error; the first, where several differ only by rounding."""
    return int(np.flatnonzero(errors <= (1.0 + _TIE) * errors.min())[0])


def _low_order(n: int, order: int) -> UInt64[np.ndarray, "s w"]:
    supports = [s for k in range(1, order + 1) for s in combinations(range(n), k)]
    return pack_supports(supports, n)


def _path(
    columns: Float64[np.ndarray, "m s"],
    values: Float64[np.ndarray, " m"],
    weights: Float64[np.ndarray, " m"],
    penalties: Float64[np.ndarray, " p"],
    gap: float,
) -> tuple[Float64[np.ndarray, "s p"], Float64[np.ndarray, " p"]]:
    """Slopes and intercepts of weighted LASSO at each penalty, largest first."""
    share = weights / weights.sum()
    center, mean = share @ columns, float(share @ values)
    root = np.sqrt(share * len(values))[:, None]
    z, y = root * (columns - center), root[:, 0] * (values - mean)
    passes = _MOST_PASSES
    if gap <= _FINE and z.size > _SMALL:
        # about what an active set costs that has a term for each mask in the end
        passes = max(1, 2 * len(z) // len(penalties))
    descend = _screened if z.shape[1] > _MANY_TERMS else _descend
    slopes, converged = descend(z, y, penalties, gap, passes)
    if not converged and gap <= _FINE:
        slopes = exact_path(z, y, penalties)
    return slopes, mean - center @ slopes


def _descend(
    z: Float64[np.ndarray, "m s"],
    y: Float64[np.ndarray, " m"],
    penalties: Float64[np.ndarray, " p"],
    gap: float,
    passes: int,
    start: Float64[np.ndarray, " s"] | None = None,
) -> tuple[Float64[np.ndarray, "s p"], bool]:
    """Slopes at each penalty by coordinate descent, and whether all converged within ``passes``."""
    from sklearn import linear_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it did not converge, which the caller is told
        _, slopes, _, taken = linear_model.lasso_path(
            z, y, precompute=len(z) > z.shape[1], alphas=penalties.tolist(), tol=gap,
            max_iter=passes, coef_init=start, return_n_iter=True,
        )  # fmt: skip
    return slopes, max(taken) < passes


def _screened(
    z: Float64[np.ndarray, "m s"],
    y: Float64[np.ndarray, " m"],
    penalties: Float64[np.ndarray, " p"],
    gap: float,
    passes: int,
) -> tuple[Float64[np.ndarray, "s p"], bool]:
    """The same, with descents over the few terms that can matter at a penalty.

    These are the terms in use and those whose correlation with the residuals is at least twice the penalty
    minus the one before (the sequential strong rule: Tibshirani et al. 2012, equation 7). Terms that break
    the optimality condition afterwards are added, and the descent is repeated. ``passes`` are over all terms;
    over few of them there may be more.
    """
    z = np.asfortranarray(z)
    slopes = np.zeros((z.shape[1], len(penalties)))
    current, last, converged = np.zeros(z.shape[1]), penalties[0], True
    correlations = np.abs(y @ z) / len(y)
    for k, penalty in enumerate(penalties):
        chosen = (current != 0) | (correlations >= 2.0 * penalty - last)
        while True:
            rows = np.flatnonzero(chosen)
            current = np.zeros(z.shape[1])
            if len(rows):
                part = z[:, rows]
                start = slopes[rows, max(k - 1, 0)]
                most = min(_MOST_PASSES, passes * len(chosen) // len(rows))
                found, reached = _descend(part, y, penalties[k : k + 1], gap, most, start)
                current[rows], converged = found[:, 0], converged and reached
            correlations = np.abs((y - z @ current) @ z) / len(y)
            broken = (correlations > (1.0 + _BROKEN) * penalty) & ~chosen
            if not broken.any():
                break
            chosen |= broken
        slopes[:, k], last = current, penalty
    return slopes, converged
