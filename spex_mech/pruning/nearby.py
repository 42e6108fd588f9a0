"""Values of the sets that differ from one set by one or two players, computed as differences from it.

A search on a surrogate asks for thousands of such sets at a time. Evaluated one by one they cost much more
than the few numbers by which they differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float64, Int64

from spex_mech.core.masks import pack
from spex_mech.core.packed import degrees, players_of
from spex_mech.core.spectrum import Spectrum

SetFunction = Callable[[Bool[np.ndarray, "m n"]], Float64[np.ndarray, " m"]]
"""Values (m,) of masks (m, n), True = kept: a game, or a surrogate of one."""

_MOST_PAIRS = 1 << 22  # pairs of players in all terms, beyond which sets are evaluated one by one


class Nearby(Protocol):
    """A surrogate's values of one set and of the sets near it."""

    @property
    def value(self) -> float:
        """The value of the set itself."""
        ...

    def flips(self) -> Float64[np.ndarray, " n"]:
        """Values with each player in turn kept instead of removed, or the other way round."""
        ...

    def swaps(
        self, kept: Int64[np.ndarray, " k"], gone: Int64[np.ndarray, " g"]
    ) -> Float64[np.ndarray, "k g"]:
        """Values with each of some kept players exchanged for each of some removed ones."""
        ...


@runtime_checkable
class Local(Protocol):
    """A set function that knows the values near a set without evaluating each of them."""

    def near(self, mask: Bool[np.ndarray, " n"], /) -> Nearby:
        """The values near a set."""
        ...


def near(function: SetFunction, mask: Bool[np.ndarray, " n"]) -> Nearby:
    """The values of a function near a set; sets are evaluated one by one where the function needs that."""
    return function.near(mask) if isinstance(function, Local) else _OneByOne(function, mask)


def flipped(
    mask: Bool[np.ndarray, " n"], players: Int64[np.ndarray, " k"]
) -> Bool[np.ndarray, "k n"]:
    """The mask with each of some players in turn kept instead of removed, or the other way round."""
    out = np.repeat(mask[None], len(players), axis=0)
    out[np.arange(len(players)), players] ^= True
    return out


def exchanged(
    mask: Bool[np.ndarray, " n"], kept: Int64[np.ndarray, " s"], gone: Int64[np.ndarray, " s"]
) -> Bool[np.ndarray, "s n"]:
    """The mask with one kept player exchanged for one removed player in each row."""
    out = np.repeat(mask[None], len(kept), axis=0)
    rows = np.arange(len(out))
    out[rows, kept], out[rows, gone] = False, True
    return out


@dataclass(frozen=True, eq=False)
class _OneByOne:
    """Any function, evaluated on every set."""

    function: SetFunction
    mask: Bool[np.ndarray, " n"]

    @property
    def value(self) -> float:
        return float(self.function(self.mask[None])[0])

    def flips(self) -> Float64[np.ndarray, " n"]:
        return self.function(flipped(self.mask, np.arange(len(self.mask))))

    def swaps(self, kept: np.ndarray, gone: np.ndarray) -> Float64[np.ndarray, "k g"]:
        pairs = np.repeat(kept, len(gone)), np.tile(gone, len(kept))
        return self.function(exchanged(self.mask, *pairs)).reshape(len(kept), len(gone))


@dataclass(frozen=True, eq=False)
class SpectrumTerms:
    """A spectrum's own terms as a set function that knows what is near.

    With t_S the value of term S at a set, to flip player i adds -2 sum_{S ∋ i} t_S, and to flip i and j
    adds both of these and 4 sum_{S ∋ i, j} t_S.

    Attributes:
        spectrum: the spectrum; its predictor is not used.
    """

    spectrum: Spectrum

    def __call__(self, masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, " m"]:
        """Values (m,) of masks (m, n), True = kept."""
        return self._plain(masks)

    def near(self, mask: Bool[np.ndarray, " n"], /) -> Nearby:
        """The values near a set."""
        if self._pairs is None:
            return _OneByOne(self._plain, mask)
        odd = np.bitwise_count(self.spectrum.words & pack(mask[None])).sum(axis=1) & 1
        values = np.where(odd, -self.spectrum.coefficients, self.spectrum.coefficients)
        return _TermsNear(self, self._pairs, values)

    @cached_property
    def _plain(self) -> Spectrum:
        return Spectrum(self.spectrum.words, self.spectrum.coefficients, self.spectrum.n)

    @cached_property
    def _members(self) -> tuple[Int64[np.ndarray, " e"], Int64[np.ndarray, " e"]]:
        """Players, and the term that each of them is in."""
        parts = [
            (players.ravel(), np.repeat(rows, players.shape[1]))
            for rows, players in self._by_degree()
        ]
        return _joined([players for players, _ in parts]), _joined([terms for _, terms in parts])

    @cached_property
    def _pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """The distinct pairs of players i < j in terms, sorted, as i n + j; None where they are too many.

        Then, for every pair of every term, the number of its distinct pair, and the term.
        """
        sizes = degrees(self.spectrum.words)
        if int((sizes * (sizes - 1)).sum()) // 2 > _MOST_PAIRS:
            return None
        pairs, terms = [], []
        for rows, players in self._by_degree():
            first, second = np.triu_indices(players.shape[1], 1)
            pairs.append((players[:, first] * self.spectrum.n + players[:, second]).ravel())
            terms.append(np.repeat(rows, len(first)))
        distinct, number = np.unique(_joined(pairs), return_inverse=True)
        return distinct, number, _joined(terms)

    def _by_degree(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Rows of terms of one degree, and their players (rows, degree), for each degree from 1."""
        words = self.spectrum.words
        sizes = degrees(words)
        groups = [(np.flatnonzero(sizes == size), int(size)) for size in np.unique(sizes) if size]
        return [(rows, players_of(words[rows], size)) for rows, size in groups]


@dataclass(frozen=True, eq=False)
class _TermsNear:
    terms: SpectrumTerms
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray]
    values: Float64[np.ndarray, " s"]

    @property
    def value(self) -> float:
        return float(self.values.sum())

    def flips(self) -> Float64[np.ndarray, " n"]:
        return self.value + self._single

    def swaps(self, kept: np.ndarray, gone: np.ndarray) -> Float64[np.ndarray, "k g"]:
        single = self.value + self._single[kept][:, None] + self._single[gone]
        distinct = self.pairs[0]
        if not len(distinct):
            return single
        first, second = np.minimum(kept[:, None], gone), np.maximum(kept[:, None], gone)
        pairs = first * self.terms.spectrum.n + second
        place = np.minimum(np.searchsorted(distinct, pairs), len(distinct) - 1)
        return single + np.where(distinct[place] == pairs, 4.0 * self._both[place], 0.0)

    @cached_property
    def _single(self) -> Float64[np.ndarray, " n"]:
        players, terms = self.terms._members
        n = self.terms.spectrum.n
        return -2.0 * np.bincount(players, weights=self.values[terms], minlength=n)

    @cached_property
    def _both(self) -> Float64[np.ndarray, " p"]:
        """For each distinct pair the sum of the terms that hold both players."""
        distinct, number, terms = self.pairs
        return np.bincount(number, weights=self.values[terms], minlength=len(distinct))


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])
