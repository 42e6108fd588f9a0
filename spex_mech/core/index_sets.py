"""Which sets of players to name an index of: all of them, or the strongest where there are too many."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, combinations
from math import comb

import numpy as np
from jaxtyping import Float64, UInt64

from spex_mech.core.index_functional import IndexFunctional
from spex_mech.core.index_values import Indexed
from spex_mech.core.packed import pack_players

MOST_SETS = 5_000  # sets of a size that are named
_MOST_LOOKS = 1 << 20  # sets of a size that are looked at to find the strongest
_COARSE = 2  # degree up to which the first look is exact
_MARGIN = 1.2  # sets that the first look leaves, per set that is named


def strongest(
    model: Indexed, n: int, size: int, functional: IndexFunctional
) -> tuple[UInt64[np.ndarray, "k w"], Float64[np.ndarray, " k"]] | None:
    """The sets of ``size`` players of largest absolute index, at most 5,000, and their indices.

    Where there are more, a first look finds them, which counts interactions with two more players only and
    keeps a fifth more; None where more than 2^20 sets would have to be looked at.
    """
    count = comb(n, size)
    if count > _MOST_LOOKS:
        return None
    every = np.fromiter(
        chain.from_iterable(combinations(range(n), size)), dtype=np.int64, count=size * count
    )
    words = pack_players(every.reshape(count, size), n)
    if count > MOST_SETS:
        coarse = replace(functional, most_degree=_COARSE)
        seen = model.index_values(words, coarse)
        words = words[_largest(seen, int(_MARGIN * MOST_SETS))]
    values = model.index_values(words, functional)
    rows = _largest(values, MOST_SETS)
    return words[rows], values[rows]


def _largest(values: Float64[np.ndarray, " k"], most: int) -> np.ndarray:
    """Rows of the ``most`` largest absolute values, in their order."""
    if len(values) <= most:
        return np.arange(len(values))
    return np.sort(np.argsort(-np.abs(values), kind="stable")[:most])
