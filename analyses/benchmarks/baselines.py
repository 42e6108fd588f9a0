"""Baselines on the same masks: LIME, Faith-Banzhaf by least squares, and KernelSHAP.

LASSO, the fourth, is a decoder of its own.
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float64

from spex_mech.core.errors import InputError
from spex_mech.core.interactions import Interactions
from spex_mech.core.packed import pack_supports
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.checks import check_values
from spex_mech.decoders.ridge import parities
from spex_mech.designs.design import MaskDesign

MAX_ENTRIES = 1 << 28


def lime(
    design: MaskDesign,
    values: npt.ArrayLike,
    *,
    kernel_width: float = 0.25,
    penalty: float = 1.0,
) -> Spectrum:
    """LIME (Ribeiro, Singh and Guestrin 2016): ridge regression on players, weighted by proximity.

    A mask's weight is exp(-d^2 / (2 width^2)) with d = 1 - sqrt(|x| / n), its cosine distance from the
    mask of all players; ``kernel_width`` and ``penalty`` are those of the authors' text explainer
    (whose distances are 100 times as large).

    Args:
        design: any masks.
        values: float64 (m,).
        kernel_width: width of the kernel.
        penalty: of the squared weights of the players, as 0/1 features.

    Returns:
        A spectrum of order 1.

    Raises:
        InputError: values that do not fit the design, or a width or penalty that is not positive.
    """
    y = check_values(design, values)
    if not (kernel_width > 0 and penalty > 0):
        raise InputError(
            f"kernel_width is {kernel_width} and penalty {penalty}, expected positive numbers"
        )
    x = design.masks.astype(np.float64)
    distance = 1.0 - np.sqrt(x.mean(axis=1))
    weights = np.exp(-(distance**2) / (2.0 * kernel_width**2))
    share = weights / weights.sum()
    z, r = x - share @ x, y - share @ y
    slopes = np.linalg.solve((z.T * weights) @ z + penalty * np.eye(design.n), (z.T * weights) @ r)
    constant = share @ y - (share @ x) @ slopes
    # a + b x = (a + b / 2) - (b / 2) (-1)^x
    supports = [(), *((i,) for i in range(design.n))]
    coefficients = np.concatenate([[constant + slopes.sum() / 2], -slopes / 2])
    return Spectrum.from_supports(supports, coefficients, design.n, {"method": "lime"})


def faith_banzhaf(design: MaskDesign, values: npt.ArrayLike, *, order: int = 2) -> Spectrum:
    """Least squares over all polynomials of at most ``order`` players: on all masks, the FBII.

    Tsai, Yeh and Ravikumar 2023, definition 13. Where masks do not determine the polynomial, the
    solution of least norm in the Fourier basis.

    Args:
        design: uniform masks for the FBII; any masks for the best fit on them.
        values: float64 (m,).
        order: largest number of players in a term.

    Raises:
        InputError: values that do not fit the design, an order outside of 1..n, or more than 2^28
            entries in the matrix of masks and terms.
    """
    y = check_values(design, values)
    n = design.n
    if not 1 <= order <= n:
        raise InputError(f"order is {order}, expected 1 to {n} for {n} players")
    count = sum(comb(n, k) for k in range(order + 1))
    if len(y) * count > MAX_ENTRIES:
        raise InputError(
            f"{len(y)} masks x {count} terms do not fit in memory (at most 2^28 entries); "
            "lower the order"
        )
    supports = [s for k in range(order + 1) for s in combinations(range(n), k)]
    words = pack_supports(supports, n)
    coefficients = np.linalg.lstsq(parities(design.masks, words), y, rcond=None)[0]
    return Spectrum(words, coefficients, n, {"method": "faith_banzhaf"})


def kernel_shap(
    design: MaskDesign,
    values: npt.ArrayLike,
    *,
    empty: float | None = None,
    full: float | None = None,
) -> Interactions:
    """Shapley values as constrained weighted least squares (Lundberg and Lee 2017, theorem 2).

    Masks of size s weigh (n - 1) / (C(n, s) s (n - s)), divided by the probability with which the
    design draws them; stratified designs draw them in that proportion already.

    Args:
        design: masks of any design; where underdetermined, the solution of least norm.
        values: float64 (m,).
        empty: value of no players, if the design lacks that mask.
        full: value of all players, if the design lacks that mask.

    Raises:
        InputError: values that do not fit the design; or the value of no or of all players is
            neither given nor among the masks.
    """
    y = check_values(design, values)
    n, sizes = design.n, design.masks.sum(axis=1)
    v0 = _anchor(y[sizes == 0], empty, "no", "empty")
    v1 = _anchor(y[sizes == n], full, "all", "full")
    inner = (sizes > 0) & (sizes < n)
    x, r = design.masks[inner].astype(np.float64), y[inner] - v0
    # Put phi_n = v1 - v0 - (the others) into the fit: efficiency holds exactly.
    last, gain = x[:, -1], v1 - v0
    root = np.sqrt(_shapley_weights(design, design.masks[inner]))
    z = root[:, None] * (x[:, :-1] - last[:, None])
    phi = np.linalg.lstsq(z, root * (r - last * gain), rcond=None)[0]
    phi = np.append(phi, gain - phi.sum())
    return Interactions("Shapley", 1, n, {(i,): float(p) for i, p in enumerate(phi)}, v0)


def _anchor(found: Float64[np.ndarray, " k"], given: float | None, who: str, name: str) -> float:
    if given is not None:
        return float(given)
    if len(found):
        return float(found.mean())
    raise InputError(
        f"the design lacks the mask of {who} players, whose value KernelSHAP needs; give {name}=... "
        "or use designs.stratified, which holds it"
    )


def _shapley_weights(
    design: MaskDesign, masks: Bool[np.ndarray, "m n"]
) -> Float64[np.ndarray, " m"]:
    """The Shapley kernel over the probability of each mask in the design, up to a factor."""
    if design.kind == "stratified":
        return np.ones(len(masks))
    n, s = design.n, masks.sum(axis=1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    binomial = log_factorial[n] - log_factorial[s] - log_factorial[n - s]
    p = np.clip(np.asarray(design.keep_rates), 1e-6, 1 - 1e-6)
    drawn = np.where(masks, np.log(p), np.log1p(-p)).sum(axis=1)
    log = -binomial - np.log(s) - np.log(n - s) - drawn
    return np.exp(log - log.max(initial=-np.inf)) if len(log) else log
