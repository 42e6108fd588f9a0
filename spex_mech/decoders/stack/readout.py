"""The largest Fourier terms of any function of coalitions that can be evaluated.

Terms are ranked in the basis that is orthogonal at the design's keep rates (see `gp.readout`). With
few players the function's values on all 2^n coalitions give all terms exactly. With more, the terms of a
list of candidates are fitted to the function's own values on fresh masks by least squares.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float64, UInt64

from spex_mech.core.packed import degrees, players_of
from spex_mech.core.transform import walsh_hadamard
from spex_mech.decoders.gp.readout import Readout, expand, largest

_ROUNDING = 1e-12  # of the largest term
_SAMPLES = 4  # fresh masks for each candidate
_RARE = 8.0  # at most this many times more at keep rates near 0 or 1, where pairs seldom differ
_FRESH = 2000  # more fresh masks, to measure the loss on, and fewest to fit on


def read_table(
    values: Float64[np.ndarray, " N"], rates: Float64[np.ndarray, " n"], *, terms: int
) -> Readout:
    """The constant and the ``terms`` largest other terms of a function known on all 2^n coalitions."""
    mean = 1.0 - 2.0 * rates
    table = walsh_hadamard(values) / len(values)
    best = largest(table, mean, terms)
    seen = np.abs(table[best]) > _ROUNDING * np.abs(table).max()
    seen[0] = True  # the constant stays
    best = best[seen]
    total = float(table[1:] @ table[1:])
    loss = max(total - float(table[best[1:]] @ table[best[1:]]), 0.0) / total if total > 0 else 0.0
    words, coefficients = expand(best.astype(np.uint64)[:, None], table[best], mean)
    return Readout(words, coefficients, len(best) - 1, True, loss)


def read_samples(
    function: Callable[[Bool[np.ndarray, "k n"]], Float64[np.ndarray, " k"]],
    candidates: UInt64[np.ndarray, "s w"],
    rates: Float64[np.ndarray, " n"],
    *,
    terms: int,
    rng: np.random.Generator,
) -> Readout:
    """The constant and the ``terms`` largest of the candidates, fitted to the function's own values."""
    n = len(rates)
    words = candidates[candidates.any(axis=1)]
    rare = min(_RARE, float(np.mean(0.25 / (rates * (1.0 - rates)))))
    count = int(rare * max(_FRESH, _SAMPLES * len(words)))
    masks = rng.random((count + _FRESH, n)) < rates
    values = function(masks)
    mean = 1.0 - 2.0 * rates
    standard = ((1.0 - 2.0 * masks) - mean) / np.sqrt(1.0 - mean**2)
    columns = _products(standard, words)
    fitted = _least_squares(columns[:count], values[:count])
    best = np.argsort(-np.abs(fitted[1:]), kind="stable")[:terms]
    fitted = _least_squares(columns[:count, best], values[:count])
    left = values[count:] - fitted[0] - columns[count:][:, best] @ fitted[1:]
    variance = float(values[count:].var())
    loss = float(np.mean(left**2)) / variance if variance > 0 else 0.0
    empty = np.zeros((1, words.shape[1]), dtype=np.uint64)
    plain, coefficients = expand(np.vstack([empty, words[best]]), fitted.copy(), mean)
    return Readout(plain, coefficients, len(best), False, loss)


def _least_squares(
    columns: Float64[np.ndarray, "k s"], values: Float64[np.ndarray, " k"]
) -> Float64[np.ndarray, " s+1"]:
    """Intercept and slopes."""
    columns = np.hstack([np.ones((len(columns), 1)), columns])
    gram = columns.T @ columns
    np.einsum("ii->i", gram)[:] += 1e-9 * len(columns)
    return np.linalg.solve(gram, columns.T @ values)


def _products(
    standard: Float64[np.ndarray, "k n"], words: UInt64[np.ndarray, "s w"]
) -> Float64[np.ndarray, "k s"]:
    """prod_{i in S} phi_i for each support."""
    out = np.ones((len(words), len(standard)))
    size, columns = degrees(words), np.ascontiguousarray(standard.T)
    for degree in np.unique(size):
        rows = np.flatnonzero(size == degree)
        for players in players_of(words[rows], int(degree)).T:
            out[rows] *= columns[players]
    return out.T
