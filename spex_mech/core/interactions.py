"""`Interactions`: a sparse spectrum read as an interaction index.

Every index here is a weighted sum of Moebius coefficients a over supersets, the weight depending on the
two sizes only,

    I(T) = sum_{S ⊇ T} w(|S|, |T|) a(S),        f(x) = sum_{S ⊆ x} a(S),

and the Moebius coefficients are such a sum of Fourier coefficients, a(T) = (-2)^{|T|} sum_{S ⊇ T} F(S)
(expand (-1)^{x} = 1 - 2 x). The weights are composed exactly, in fractions, into weights from Fourier
coefficients to the index; most of those vanish, so that only terms that matter are ever expanded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, UInt64

from spex_mech.core.errors import InputError
from spex_mech.core.index_weights import SINGLES, WEIGHTS, WITH_EMPTY
from spex_mech.core.packed import bit, group, pack_supports, players_of
from spex_mech.core.spectrum import Spectrum

if TYPE_CHECKING:
    import shapiq  # pyright: ignore[reportMissingImports]

MAX_SUBSETS = 1 << 27
_CHUNK_WORDS = 1 << 22
_ROUNDING = 1e-13


@dataclass(frozen=True, eq=False)
class Interactions:
    """Values of an interaction index, by set of players.

    Attributes:
        index: name of the index.
        order: largest number of players of a set.
        n: number of players.
        values: value of each set (players in increasing order, small sets first); sets that are not
            there have value 0. The polynomials Moebius, STII, FBII and FSII have the empty set among
            them, and so has Fourier; the others measure players only.
        baseline: what the values are counted from: the constant of Fourier (the mean of f) and of
            FBII (the fitted constant), and otherwise f of no players.
        deviations: computes the standard deviations of ``values``, for `std`.
    """

    index: str
    order: int
    n: int
    values: Mapping[tuple[int, ...], float]
    baseline: float
    deviations: Callable[[], Float64[np.ndarray, " k"] | None] | None = field(
        default=None, repr=False
    )

    @cached_property
    def std(self) -> Mapping[tuple[int, ...], float] | None:
        """Standard deviation of each value of ``values``; None where no posterior is known.

        That of the index of the whole game about the value that stands here, which sums over the
        terms that were read out: it counts the posterior's variance and what the readout left out.
        Computed when first asked for, in time m^2 for each of the sets, m being the masks decoded.
        """
        deviations = None if self.deviations is None else self.deviations()
        if deviations is None:
            return None
        return dict(zip(self.values, deviations.tolist(), strict=True))

    def joint(self, k: int) -> list[tuple[tuple[int, ...], float]]:
        """The ``k`` sets of two or more players of largest absolute value, largest first."""
        return [item for item in self.top(len(self.values)) if len(item[0]) > 1][:k]

    def top(self, k: int) -> list[tuple[tuple[int, ...], float]]:
        """The ``k`` sets of largest absolute value, largest first, without the empty set."""
        sets = [item for item in self.values.items() if item[0]]
        return sorted(sets, key=lambda item: -abs(item[1]))[:k]

    def to_shapiq(self) -> shapiq.InteractionValues:
        """The same values as a shapiq ``InteractionValues``, for its plots.

        Raises:
            InputError: shapiq is not installed.
        """
        from spex_mech.core.shapiq import import_shapiq

        peer = import_shapiq()
        names = {"Shapley": "SV", "Banzhaf": "BV"}
        values = {(): self.baseline, **self.values}
        return peer.InteractionValues(
            values=np.array(list(values.values())),
            interaction_lookup={players: k for k, players in enumerate(values)},
            index=names.get(self.index, self.index),
            min_order=0,
            max_order=self.order,
            n_players=self.n,
            estimated=True,
            baseline_value=self.baseline,
        )


def interactions(spectrum: Spectrum, index: str = "FBII", order: int | None = 2) -> Interactions:
    """Read a spectrum as an interaction index, exactly.

    Args:
        spectrum: any sparse spectrum.
        index: ``Fourier``, ``Moebius``, ``Banzhaf``, ``Shapley`` (both of single players),
            ``BII``, ``SII`` (of each set on its own, which is not the aggregated n-SII), ``STII``,
            ``FBII`` or ``FSII``. The last three depend on ``order`` in all their values.
        order: largest number of players of a set, 1 to n; None for that of the largest term.

    Returns:
        All sets of at most ``order`` players whose value is not zero.

    Raises:
        InputError: an index or order that does not exist, or terms so large that they have more than
            2^27 subsets of that order.
    """
    if index not in WEIGHTS:
        raise InputError(f"index is {index!r}, expected one of {', '.join(WEIGHTS)}")
    if order is None:
        order = int(spectrum.degrees.max(initial=1))
    if isinstance(order, bool) or not isinstance(order, (int, np.integer)):
        raise InputError(f"order is {order!r}, expected an integer from 1 to {spectrum.n}, or None")
    if not 1 <= order <= max(spectrum.n, 1):
        raise InputError(f"order is {order}, expected 1 to {spectrum.n} (the players) or None")
    order = 1 if index in SINGLES else int(order)
    weight = WEIGHTS[index]

    @cache
    def from_fourier(s: int, t: int) -> float:
        total = sum(comb(s - t, j - t) * (-2) ** j * weight(j, t, order) for j in range(t, s + 1))
        return float(total)

    first = 0 if index in WITH_EMPTY else 1
    words, values = _distribute(spectrum, from_fourier, first, order)
    table = _table(words, values)
    empty = float(spectrum.coefficients.sum())  # f of no players: every sign is +1
    baseline = table.get((), 0.0) if index in WITH_EMPTY else empty

    def deviations() -> Float64[np.ndarray, " k"] | None:
        sets = pack_supports(list(table), spectrum.n)
        return spectrum.deviations(sets, np.array(list(table.values())), from_fourier)

    return Interactions(index, order, spectrum.n, table, baseline, deviations)


def moebius(spectrum: Spectrum) -> Interactions:
    """All Moebius coefficients: f(x) = sum of the values of the sets within x."""
    return interactions(spectrum, "Moebius", None)


def to_spectrum(values: Interactions) -> Spectrum:
    """The Fourier spectrum of an index that is a polynomial: the inverse of `interactions`.

    Gives back f from Fourier or from all Moebius coefficients, and from FBII or FSII the polynomial
    that they fit to f.

    Raises:
        InputError: an index that is not a function's coefficients.
    """
    if values.index not in ("Fourier", "Moebius", "FBII", "FSII"):
        raise InputError(
            f"{values.index} values do not determine a function; use Moebius, Fourier, FBII or FSII"
        )
    terms = Spectrum.from_supports(list(values.values), list(values.values.values()), values.n)
    if values.index == "Fourier":
        return terms
    # F(T) = (-1)^{|T|} sum_{S ⊇ T} 2^{-|S|} a(S), from x = (1 - (-1)^x) / 2.
    words, weights = _distribute(terms, lambda s, t: (-1) ** t / 2.0**s, 0, terms.n)
    return Spectrum(words, weights, values.n)


def _distribute(
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
    kept = np.abs(sums) > _ROUNDING * magnitudes  # what is left out is the rounding of a zero
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
    out = np.zeros((len(players), words.shape[1]), dtype=np.uint64)
    rows = np.arange(len(players))
    for k in range(t):
        out[rows, players[:, k] // 64] |= bit(players[:, k])
    return out


def _table(
    words: UInt64[np.ndarray, "u w"], values: Float64[np.ndarray, " u"]
) -> dict[tuple[int, ...], float]:
    """Values by tuple of players: small sets first, then in lexicographic order."""
    table: dict[tuple[int, ...], float] = {}
    sizes = np.bitwise_count(words).sum(axis=1, dtype=np.int64)
    for size in np.unique(sizes).tolist():
        rows = np.flatnonzero(sizes == size)
        players = players_of(words[rows], size)
        order = np.lexsort(players.T[::-1]) if size else np.arange(len(rows))
        keys = map(tuple, players[order].tolist())
        table.update(zip(keys, values[rows[order]].tolist(), strict=True))
    return table
