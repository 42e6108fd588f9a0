"""Sums of a spectrum's coefficients over the supersets of each set of players."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Float64, UInt64

from spex_mech.core.errors import InputError
from spex_mech.core.packed import group, pack_players, players_of
from spex_mech.core.spectrum import Spectrum

MAX_SUBSETS = 1 << 27
ROUNDING = 1e-13  # of the magnitudes that were added up
_CHUNK_WORDS = 1 << 22


def superset_sums(
    spectrum: Spectrum, weight: Callable[[int, int], float], first: int, last: int
) -> tuple[UInt64[np.ndarray, "u w"], Float64[np.ndarray, " u"]]:
    """sum_{S ⊇ T} weight(|S|, |T|) F(S) for all T of ``first`` to ``last`` players."""
    sizes = spectrum.degrees
    counts = np.bincount(sizes, minlength=1)
    weights = {
        (s, t): w
        for s in np.flatnonzero(counts).tolist()
        for t in range(first, min(s, last) + 1)
        if (w := weight(s, t))
    }
    total = sum(int(counts[s]) * comb(s, t) for s, t in weights)
    if total > MAX_SUBSETS:
        raise InputError(
            f"the terms have {total} subsets to sum over (the largest has {sizes.max()} players), at "
            "most 2^27 are supported; lower the order, or keep fewer terms with spectrum.truncate(k)"
        )
    width = spectrum.words.shape[1]
    parts = [(spectrum.words[:0], np.zeros(0), np.zeros(0))]
    for (s, t), w in weights.items():
        rows = np.flatnonzero(sizes == s)
        step = max(1, _CHUNK_WORDS // (width * comb(s, t)))
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            share = np.repeat(w * spectrum.coefficients[part], comb(s, t))
            parts.append(_add_up(_subsets(spectrum.words[part], s, t), share, np.abs(share)))
    words, sums, magnitudes = _add_up(
        np.concatenate([part[0] for part in parts]),
        np.concatenate([part[1] for part in parts]),
        np.concatenate([part[2] for part in parts]),
    )
    kept = np.abs(sums) > ROUNDING * magnitudes  # what is left out is the rounding of a zero
    return words[kept], sums[kept]


def _add_up(
    words: UInt64[np.ndarray, "k w"],
    weights: Float64[np.ndarray, " k"],
    magnitudes: Float64[np.ndarray, " k"],
) -> tuple[UInt64[np.ndarray, "u w"], Float64[np.ndarray, " u"], Float64[np.ndarray, " u"]]:
    """Sums over equal supports, of the weights and of their magnitudes."""
    distinct, inverse = group(words)
    return (
        distinct,
        np.bincount(inverse, weights, minlength=len(distinct)),
        np.bincount(inverse, magnitudes, minlength=len(distinct)),
    )


def _subsets(words: UInt64[np.ndarray, "s w"], s: int, t: int) -> UInt64[np.ndarray, "k w"]:
    """All subsets of t players of supports of s players, one support after another."""
    if s == t:
        return words
    chosen = np.array(list(combinations(range(s), t)), dtype=np.int64)
    players = players_of(words, s)[:, chosen].reshape(len(words) * len(chosen), t)
    return pack_players(players, 64 * words.shape[1])
