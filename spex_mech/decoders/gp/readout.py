"""The largest Fourier terms of a Walsh-kernel function, without looking at all 2^n of them.

The function f(x) = sum_j alpha_j K(x, x_j) has terms that are orthogonal under a product distribution
when s_i = (-1)^{x_i} is standardised: phi_i = (s_i - mu_i) / sigma_i with mu_i = 1 - 2 (keep rate), so
f = sum_S G(S) prod_{i in S} phi_i, and sum_S G(S)^2 is its mean square. At keep rate 1/2 these are the
plain Fourier terms. Terms are ranked by |G|, the smallest are dropped, and those that are kept are
expanded into plain Fourier terms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, UInt64

from spex_mech.core.masks import pack
from spex_mech.core.packed import bit, combine, word_count
from spex_mech.core.transform import walsh_hadamard
from spex_mech.decoders.gp.kernel import WalshKernel
from spex_mech.decoders.gp.search import search

TABLE_PLAYERS = 20


@dataclass(frozen=True, eq=False)
class Readout:
    """The largest terms of a function as plain Fourier terms, the constant among them.

    Attributes:
        words: uint64 (s, w).
        coefficients: float64 (s,).
        ranked: number of orthogonal terms they expand, without the constant.
        exact: whether no larger orthogonal term can have been missed.
        loss: the part of the function's variance that they miss, at the keep rates they were ranked
            at; NaN where that has not been measured.
    """

    words: UInt64[np.ndarray, "s w"]
    coefficients: Float64[np.ndarray, " s"]
    ranked: int
    exact: bool
    loss: float = float("nan")


def read_out(
    kernel: WalshKernel,
    signs: Float64[np.ndarray, "m n"],
    alpha: Float64[np.ndarray, " m"],
    rates: Float64[np.ndarray, " n"],
    *,
    terms: int,
    limit: int,
    table_players: int = TABLE_PLAYERS,
) -> Readout:
    """The constant and the ``terms`` largest other terms of sum_j alpha_j K(x, x_j).

    Args:
        kernel: K.
        signs: float64 (m, n), the coalitions x_j, distinct.
        alpha: float64 (m,).
        rates: float64 (n,), the product distribution in which terms are ranked, each within (0, 1).
        terms: how many to keep.
        limit: most terms to evaluate when there are too many players for a table.
        table_players: up to so many players all 2^n terms are computed.
    """
    mean = 1.0 - 2.0 * rates
    if signs.shape[1] <= table_players:
        words, coefficients = _table(kernel, signs, alpha, mean, terms)
        exact = True
    else:
        members, coefficients, exact = search(kernel, signs, alpha, mean, terms=terms, limit=limit)
        words = pack(members)
    words, coefficients = expand(words, coefficients, mean)
    return Readout(words, coefficients, min(terms, 2 ** signs.shape[1] - 1), exact)


def walsh_table(
    kernel: WalshKernel, signs: Float64[np.ndarray, "m n"], alpha: Float64[np.ndarray, " m"]
) -> Float64[np.ndarray, " N"]:
    """All 2^n plain coefficients F(S) = lambda_S sum_j alpha_j (-1)^{|S ∩ x_j|}, S = the 1-bits of i."""
    n = signs.shape[1]
    rows = pack(signs < 0)[:, 0].astype(np.int64)
    sums = walsh_hadamard(np.bincount(rows, weights=alpha, minlength=1 << n))
    eigenvalues = np.array([kernel.product_scale])
    for ratio in np.tanh(kernel.theta):
        eigenvalues = np.concatenate([eigenvalues, ratio * eigenvalues])
    eigenvalues[0] += kernel.constant
    eigenvalues[1 << np.arange(n)] += kernel.linear * kernel.theta
    return eigenvalues * sums


def _table(
    kernel: WalshKernel,
    signs: Float64[np.ndarray, "m n"],
    alpha: Float64[np.ndarray, " m"],
    mean: Float64[np.ndarray, " n"],
    terms: int,
) -> tuple[UInt64[np.ndarray, "s 1"], Float64[np.ndarray, " s"]]:
    table = walsh_table(kernel, signs, alpha)
    best = largest(table, mean, terms)
    return best.astype(np.uint64)[:, None], table[best]


def largest(
    table: Float64[np.ndarray, " N"], mean: Float64[np.ndarray, " n"], terms: int
) -> Int64[np.ndarray, " k"]:
    """Turn a table of plain terms, in place, into one of orthogonal terms, and rank those.

    Args:
        table: float64 (2^n,), F(S) with S = the 1-bits of i; G(S) afterwards.
        mean: float64 (n,), mu.
        terms: how many to keep beside the constant.

    Returns:
        Rows of the constant and of the largest others, in increasing order.
    """
    for i, mu in enumerate(mean):
        pairs = table.reshape(-1, 2, 1 << i)  # s_i = mu + sigma phi_i
        pairs[:, 0] += mu * pairs[:, 1]
        pairs[:, 1] *= np.sqrt(1.0 - mu**2)
    size = np.abs(table)
    size[0] = np.inf  # the constant stays
    count = min(terms + 1, len(table))
    return np.sort(np.argpartition(-size, count - 1)[:count])


def expand(
    words: UInt64[np.ndarray, "s w"],
    coefficients: Float64[np.ndarray, " s"],
    mean: Float64[np.ndarray, " n"],
) -> tuple[UInt64[np.ndarray, "u w"], Float64[np.ndarray, " u"]]:
    """Plain terms of orthogonal ones: replace each phi_i by (s_i - mu_i) / sigma_i, player by player."""
    for i in np.flatnonzero(mean):
        word, flag = i // 64, bit(np.array(i))
        inside = (words[:, word] & flag) != 0
        if inside.any():
            without = words[inside]
            without[:, word] ^= flag
            coefficients[inside] /= np.sqrt(1.0 - mean[i] ** 2)
            coefficients = np.append(coefficients, -mean[i] * coefficients[inside])
            words, coefficients = combine(np.concatenate([words, without]), coefficients)
    empty = np.zeros((1, word_count(len(mean))), dtype=np.uint64)
    return combine(np.concatenate([words, empty]), np.append(coefficients, 0.0))
