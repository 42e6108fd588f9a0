r"""Moments of Fourier coefficients and of linear interaction indices under a Walsh-kernel prior.

An index of the form I(T) = sum_{S ⊇ T} w(|S|, |T|) F(S) is Gaussian under the posterior. With the
prior's independent F(S) of variance lambda_S (see `gp.kernel`), its prior variance and its covariance
with f at a coalition x are

    p(T) = sum_{S ⊇ T} w(|S|, |T|)^2 lambda_S,      v(T, x) = sum_{S ⊇ T} w(|S|, |T|) lambda_S (-1)^{|S ∩ x|},

and because lambda_S is a product over players, the sums over all 2^{n-|T|} supersets are elementary
symmetric polynomials of tanh(theta_k) (times (-1)^{x_k}) over the players k outside T.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float64, Int64

from spex_mech.decoders.gp.kernel import WalshKernel

SizeWeight = Callable[[int, int], float]

_ENTRIES = 1 << 22
_NEGLIGIBLE, _QUIET = 1e-14, 4  # sums end after four shares in a row below this part of the total


def covariances(
    kernel: WalshKernel,
    rows: Float64[np.ndarray, "m n"],
    sets: Int64[np.ndarray, "k t"],
    weight: SizeWeight,
) -> Iterator[tuple[slice, Float64[np.ndarray, "m b"], Float64[np.ndarray, " b"]]]:
    """v(T, x) and p(T) of sets of equal size, in blocks of sets.

    Args:
        kernel: the prior.
        rows: float64 (m, n), the coalitions x as `gp.kernel.signs`.
        sets: int64 (k, t), the players of each T; (1, 0) for the empty set.
        weight: w(|S|, |T|).

    Yields:
        The slice of the sets in the block, and their v (m, b) and p (b,).
    """
    n, size = rows.shape[1], sets.shape[1]
    ratio = np.tanh(kernel.theta)
    prior = _symmetric(ratio[None, :], n - size)
    weights = _weights(weight, size, prior[0])
    signed = ratio * rows
    over_all = _symmetric(signed, len(weights) - 1)
    step = max(1, _ENTRIES // (len(rows) * len(weights)))
    for start in range(0, len(sets), step):
        part = slice(start, start + step)
        chosen = sets[part]
        v = _superset_sums(signed, chosen, weights, over_all)
        p = _superset_sums(ratio[None, :], chosen, weights**2, prior)[0]
        v *= kernel.product_scale
        p *= kernel.product_scale
        _add_linear(kernel, rows, chosen, weight, v, p)
        yield part, v, p


def _weights(
    weight: SizeWeight, size: int, symmetric: Float64[np.ndarray, " d"]
) -> Float64[np.ndarray, " r"]:
    """The weights of T with 0, 1, ... further players, up to where they no longer change the prior variance.

    e_r over the players outside T is at most e_r over all players, which falls as 1 / r!.
    """
    weights: list[float] = []
    total = quiet = 0.0
    for r, count in enumerate(symmetric):
        weights.append(weight(size + r, size))
        share = weights[-1] ** 2 * count
        total += share
        quiet = quiet + 1 if share <= _NEGLIGIBLE * total else 0
        if quiet == _QUIET:
            break
    return np.trim_zeros(np.array(weights), "b") if any(weights) else np.zeros(1)


def _superset_sums(
    factors: Float64[np.ndarray, "m n"],
    sets: Int64[np.ndarray, "b t"],
    weights: Float64[np.ndarray, " r"],
    over_all: Float64[np.ndarray, "m d"],
) -> Float64[np.ndarray, "m b"]:
    """prod_{i in T} a_i sum_r weights_r e_r(a_k, k outside T), for the factors a of each row."""
    inside = factors[:, sets]  # (m, b, t)
    product = inside.prod(axis=2)
    if len(weights) == 1:
        return product * weights[0]
    outside = np.repeat(over_all[:, None, : len(weights)], len(sets), axis=1)
    for t in range(sets.shape[1]):  # divide the generating polynomial by (1 + a z)
        a = inside[:, :, t]
        for r in range(1, len(weights)):
            outside[:, :, r] -= a * outside[:, :, r - 1]
    return product * (outside @ weights)


def _symmetric(factors: Float64[np.ndarray, "m n"], degree: int) -> Float64[np.ndarray, "m d"]:
    """Elementary symmetric polynomials e_0 ... e_degree of each row."""
    out = np.zeros((len(factors), degree + 1))
    out[:, 0] = 1.0
    for k in range(factors.shape[1]):
        top = min(degree, k + 1)
        out[:, 1 : top + 1] += factors[:, k : k + 1] * out[:, :top]
    return out


def _add_linear(
    kernel: WalshKernel,
    rows: Float64[np.ndarray, "m n"],
    sets: Int64[np.ndarray, "b t"],
    weight: SizeWeight,
    v: Float64[np.ndarray, "m b"],
    p: Float64[np.ndarray, " b"],
) -> None:
    """Add the parts of the prior that belong to the constant and to single players alone."""
    single = kernel.linear * kernel.theta
    if sets.shape[1] == 1:
        players, w = sets[:, 0], weight(1, 1)
        v += w * single[players] * rows[:, players]
        p += w**2 * single[players]
    elif sets.shape[1] == 0:
        of_empty, of_single = weight(0, 0), weight(1, 0) if rows.shape[1] else 0.0
        v += (of_empty * kernel.constant + of_single * rows @ single)[:, None]
        p += of_empty**2 * kernel.constant + of_single**2 * single.sum()
