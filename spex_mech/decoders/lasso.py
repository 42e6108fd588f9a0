"""LASSO on all Fourier terms of low order: the baseline of the SPEX papers."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt

from spex_mech.decoders.checks import check_values, constant_spectrum
from spex_mech.decoders.refit import parities
from spex_mech.designs.design import MaskDesign
from spex_mech.errors import InputError
from spex_mech.spectrum import Spectrum
from spex_mech.terms import pack_supports

MAX_ENTRIES = 1 << 28


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

    supports = [s for k in range(1, order + 1) for s in combinations(range(n), k)]
    words = pack_supports(supports, n)
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
