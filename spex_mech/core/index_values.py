"""Values of an interaction index of a whole model: the protocol, and models that are tables or sparse.

A model that knows its indices in closed form has a method ``index_values``; `interactions` asks it for the
index of sets of players. The values are those of the model itself, not of the terms that were read out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt64

from spex_mech.core.index_functional import IndexFunctional
from spex_mech.core.packed import degrees, group, players_of
from spex_mech.core.spectrum import Spectrum
from spex_mech.core.supersets import superset_sums


@runtime_checkable
class Indexed(Protocol):
    """A model of a game that gives interaction indices of itself."""

    def index_values(
        self, words: UInt64[np.ndarray, "k w"], functional: IndexFunctional, /
    ) -> Float64[np.ndarray, " k"]:
        """The index of packed sets of players (k, w); float64 (k,)."""
        ...


@runtime_checkable
class IndexedPosterior(Indexed, Protocol):
    """A model that also knows how far the game's indices are from its own, corrected ones."""

    def index_std(
        self,
        words: UInt64[np.ndarray, "k w"],
        functional: IndexFunctional,
        beside: Bool[np.ndarray, "b n"],
        /,
    ) -> Float64[np.ndarray, " k"]:
        """Standard deviation of the game's index about the model's, corrected by the evaluated masks.

        These are the masks that the model was fitted to, and those ``beside``.
        """
        ...


def sets_by_size(
    words: UInt64[np.ndarray, "k w"],
) -> Iterator[tuple[Int64[np.ndarray, " r"], Int64[np.ndarray, "r t"]]]:
    """For each size of packed sets: their rows, and their players (r, t)."""
    sizes = degrees(words)
    for size in np.unique(sizes).tolist():
        rows = np.flatnonzero(sizes == size)
        yield rows, players_of(words[rows], size)


def table_index_values(
    table: Float64[np.ndarray, " N"],
    words: UInt64[np.ndarray, "k 1"],
    functional: IndexFunctional,
) -> Float64[np.ndarray, " k"]:
    """The index of a function known on all 2^n coalitions. Time n^2 2^n, for any number of sets.

    Args:
        table: float64 (2^n,), ``table[i]`` = value of the coalition of the 1-bits of i.
        words: uint64 (k, 1), packed sets.
        functional: the index.
    """
    n = len(table).bit_length() - 1
    sets, sizes = words[:, 0].astype(np.int64), degrees(words)
    weights: dict[float, Float64[np.ndarray, " n+1"]] = defaultdict(lambda: np.zeros(n + 1))
    for size in np.unique(sizes).tolist():
        for rate, weight in zip(*functional.nodes(size, n), strict=True):
            weights[float(rate)][size] = weight
    out = np.zeros(len(sets))
    for rate, of_sizes in weights.items():
        out += of_sizes[sizes] * _expected_derivatives(table, rate)[sets]
    return out


def _expected_derivatives(table: Float64[np.ndarray, " N"], rate: float) -> np.ndarray:
    """D_T f(rate) for all T, in table order."""
    derivatives = table.copy()
    for i in range(len(table).bit_length() - 1):
        pairs = derivatives.reshape(-1, 2, 1 << i)
        pairs[:, 1] -= pairs[:, 0]
        pairs[:, 0] += rate * pairs[:, 1]
    return derivatives


def spectrum_index_values(
    terms: Spectrum, words: UInt64[np.ndarray, "k w"], functional: IndexFunctional
) -> Float64[np.ndarray, " k"]:
    """The index of a function with few terms, whose ``predictor`` is not looked at.

    Raises:
        InputError: terms with more than 2^27 subsets of the sets' sizes.
    """
    out = np.zeros(len(words))
    for size in np.unique(degrees(words)).tolist():
        rows = np.flatnonzero(degrees(words) == size)
        found, sums = superset_sums(terms, functional.fourier, size, size)
        distinct, inverse = group(np.concatenate([found, words[rows]]))
        values = np.zeros(len(distinct))
        values[inverse[: len(found)]] = sums
        out[rows] = values[inverse[len(found) :]]
    return out
