r"""Interaction indices of the mean of a Walsh-kernel Gaussian process, exactly.

The mean is, up to shift and scale, f(x) = sum_j alpha_j K(x, x_j). The product part of K (see `gp.kernel`) is
c prod_i (1 + a_ji s_i) with a_ji = tanh(theta_i) s_ji, so at keep rate p, with mu = 1 - 2p, its expected
derivative by the players T (see `core.index_functional`) is

    (-2)^{|T|} c prod_i (1 + a_ji mu)  prod_{i in T} a_ji / (1 + a_ji mu).

As s_ji is 1 or -1, the last factor is linear in it, and the sums over j of products of signs serve all
keep rates in one matrix product. They take time m n q + m k q for k sets of one or two players and q
keep rates, of which some tens suffice: the sums over larger and larger sets fall off as 1 / r!.
"""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np
from jaxtyping import Float64, Int64, UInt64

from spex_mech.core.index_functional import IndexFunctional
from spex_mech.core.index_values import sets_by_size
from spex_mech.decoders.gp.kernel import WalshKernel

_NEGLIGIBLE = 1e-17  # part of the sum of all degrees' shares that the degrees left out may have
_ENTRIES = 1 << 22
_GRAM = 3  # pairs of all players, per pair that is asked for, up to which all pairs take less time


def mean_index_values(
    kernel: WalshKernel,
    seen: Float64[np.ndarray, "m n"],
    alpha: Float64[np.ndarray, " m"],
    words: UInt64[np.ndarray, "k w"],
    functional: IndexFunctional,
) -> Float64[np.ndarray, " k"]:
    """The index of sum_j alpha_j K(x, x_j) of packed sets, to rounding.

    Args:
        kernel: K.
        seen: float64 (m, n), the coalitions x_j as `gp.kernel.signs`.
        alpha: float64 (m,).
        words: uint64 (k, w).
        functional: the index.
    """
    most, n = _degree(kernel), seen.shape[1]
    out = np.empty(len(words))
    for rows, sets in sets_by_size(words):
        size = sets.shape[1]
        rates, weights = functional.nodes(size, min(max(most, 1), n - size))
        out[rows] = _product_part(kernel, seen, alpha, sets, rates, weights)
        out[rows] += _linear_part(kernel, seen, alpha, sets, rates, weights)
    return out


def _degree(kernel: WalshKernel) -> int:
    """The number of players up to which a term of the product part can matter beyond rounding."""
    ratio = np.tanh(kernel.theta)
    shares = np.zeros(len(ratio) + 1)
    shares[0] = 1.0
    for k, a in enumerate(ratio):
        shares[1 : k + 2] += a * shares[: k + 1]
    left = np.cumsum(shares[::-1])[::-1] / shares.sum()
    return int(np.flatnonzero(left > _NEGLIGIBLE)[-1])


def _product_part(
    kernel: WalshKernel,
    seen: Float64[np.ndarray, "m n"],
    alpha: Float64[np.ndarray, " m"],
    sets: Int64[np.ndarray, "k t"],
    rates: Float64[np.ndarray, " q"],
    weights: Float64[np.ndarray, " q"],
) -> Float64[np.ndarray, " k"]:
    mu, ratio = 1.0 - 2.0 * rates, np.tanh(kernel.theta)
    up, down = np.log1p(np.outer(ratio, mu)), np.log1p(-np.outer(ratio, mu))
    logs = 0.5 * (seen @ (up - down) + (up + down).sum(axis=0))
    shares = (alpha * kernel.product_scale)[:, None] * np.exp(logs) * weights  # (m, q)
    # a_ji / (1 + a_ji mu) = slope s_ji - offset
    below = 1.0 - np.outer(ratio, mu) ** 2
    slope = ratio[:, None] / below
    offset = slope * np.outer(ratio, mu)
    size = sets.shape[1]
    total = np.zeros(len(sets))
    positions = range(size)
    for inside in chain.from_iterable(combinations(positions, r) for r in range(size + 1)):
        players = sets[:, list(inside)]
        if len(inside) == size:  # the sets are distinct, their subsets are not
            sums = _signed_sums(seen, shares, players)
        else:
            distinct, inverse = np.unique(players, axis=0, return_inverse=True)
            sums = _signed_sums(seen, shares, distinct)[inverse.reshape(-1)]  # (k, q)
        for position in positions:
            factor = slope if position in inside else -offset
            sums *= factor[sets[:, position]]
        total += sums.sum(axis=1)
    return (-2.0) ** size * total


def _signed_sums(
    seen: Float64[np.ndarray, "m n"],
    shares: Float64[np.ndarray, "m q"],
    sets: Int64[np.ndarray, "k t"],
) -> Float64[np.ndarray, "k q"]:
    """sum_j shares_jq prod_{i in U} s_ji for each set U."""
    if sets.shape[1] == 0:
        return np.broadcast_to(shares.sum(axis=0), (len(sets), shares.shape[1])).copy()
    out = np.empty((len(sets), shares.shape[1]))
    columns = np.ascontiguousarray(seen.T)
    if sets.shape[1] == 2 and len(columns) ** 2 < _GRAM * len(sets):
        for q, weights in enumerate(shares.T):
            out[:, q] = ((columns * weights) @ seen)[sets[:, 0], sets[:, 1]]
        return out
    step = max(1, _ENTRIES // len(seen))
    for start in range(0, len(sets), step):
        part = sets[start : start + step]
        products = columns[part[:, 0]]
        for players in part.T[1:]:
            products *= columns[players]
        out[start : start + step] = products @ shares
    return out


def _linear_part(
    kernel: WalshKernel,
    seen: Float64[np.ndarray, "m n"],
    alpha: Float64[np.ndarray, " m"],
    sets: Int64[np.ndarray, "k t"],
    rates: Float64[np.ndarray, " q"],
    weights: Float64[np.ndarray, " q"],
) -> Float64[np.ndarray, " k"]:
    """The parts of the kernel that belong to the constant and to single players alone."""
    single = kernel.linear * kernel.theta * (alpha @ seen)
    if sets.shape[1] == 0:
        mean = kernel.constant * alpha.sum() * weights.sum()
        return np.full(len(sets), mean + single.sum() * (weights @ (1.0 - 2.0 * rates)))
    if sets.shape[1] == 1:
        return -2.0 * weights.sum() * single[sets[:, 0]]
    return np.zeros(len(sets))
