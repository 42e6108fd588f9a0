"""Finding terms in bins: hard and soft source decoding, and a matched filter for sets of low degree."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from itertools import chain, combinations, islice
from math import comb, isqrt
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt64

from spex_mech.core.masks import pack
from spex_mech.decoders.spex.bins import Bins
from spex_mech.designs.codes import SourceCode

_CHUNK_SETS = 1 << 14
_CHUNK_BINS = 1 << 10
_CHUNK_PAIRS = 1 << 14


class Candidates(NamedTuple):
    """Sets that may be terms, and the evidence for each.

    Attributes:
        sets: int64 (M, t), distinct, the players of each, padded with -1.
        evidence: float64 (M,), size of the set's estimate in standard errors.
        needed: float64 (M,), the least evidence to accept the set, which chance alone would hardly give.
    """

    sets: Int64[np.ndarray, "M t"]
    evidence: Float64[np.ndarray, " M"]
    needed: Float64[np.ndarray, " M"]


def hard_decode(
    code: SourceCode, amplitudes: Float64[np.ndarray, "N D"]
) -> tuple[Int64[np.ndarray, "M t"], Int64[np.ndarray, " M"]]:
    """Decode the signs of each row, relative to that of the zero delay.

    Returns:
        The sets found and the row of each.
    """
    players, decoded = code.decode(_syndromes(amplitudes))
    return players[decoded], np.flatnonzero(decoded)


def soft_decode(
    code: SourceCode, amplitudes: Float64[np.ndarray, "N D"], *, flips: int = 8, depth: int = 3
) -> tuple[Int64[np.ndarray, "M t"], Int64[np.ndarray, " M"]]:
    """Chase decoding: flip up to ``depth`` of the ``flips`` least reliable signs of each row.

    The reliability of a sign is the size of its amplitude (Chase 1972, algorithm 2); the sign of the
    zero delay, which all others are relative to, is one of them.

    Returns:
        All sets found, one row after another, and the row of each; a set may be found several times.
    """
    delays = amplitudes.shape[1]
    patterns = _patterns(min(flips, delays), depth)
    weak = np.argsort(np.abs(amplitudes), axis=1, kind="stable")[:, : patterns.shape[1]]
    turn = _flip_words(code)[weak]
    syndromes = np.repeat(_syndromes(amplitudes)[:, None], len(patterns), axis=1)
    for k in range(patterns.shape[1]):
        syndromes[:, patterns[:, k]] ^= turn[:, None, k]
    players, decoded = code.decode(syndromes.reshape(-1, syndromes.shape[2]))
    return players[decoded], np.flatnonzero(decoded) // len(patterns)


def decode_bins(bins: Bins, active: Int64[np.ndarray, " k"], *, flips: int) -> Candidates:
    """Decode some bins; keep the sets that belong to the bin they were found in.

    The evidence for a set is its estimate from the subsamplings it was *not* found in (where it was
    found the signs agree by construction), in standard errors, counted in the direction of the
    estimate where it was found.

    Args:
        bins: bins without the terms accepted so far.
        active: the bins to look at.
        flips: signs that soft decoding may flip; 0 for hard decoding.
    """
    decode = partial(soft_decode, flips=flips) if flips else hard_decode
    sets, homes = [], []
    for start in range(0, len(active), _CHUNK_BINS):
        part = active[start : start + _CHUNK_BINS]
        decoded, rows = decode(bins.structure.code, bins.amplitudes[part])
        home = bins.places(decoded) == part[rows, None]
        at_home = home.any(axis=1)
        sets.append(decoded[at_home])
        homes.append(home[at_home])
    return _confirm(bins, np.concatenate(sets), np.concatenate(homes))


def decode_pairs(bins: Bins, active: Int64[np.ndarray, " k"], *, most: int) -> Candidates:
    """Decode the sums and differences of two bins of different subsamplings.

    A set that is in both bins adds up in the sum or in the difference, unlike all else that the bins
    hold. Two terms that share their bins in all subsamplings can be told apart where their offsets have
    different signs. The evidence comes from the other subsamplings.

    Args:
        bins: bins without the terms accepted so far.
        active: the bins to look at.
        most: largest number of pairs; the bins of highest energy are paired.
    """
    strongest = np.argsort(-bins.energy[active], kind="stable")[: 1 + isqrt(2 * most)]
    chosen = np.sort(active[strongest])
    group = chosen >> bins.structure.b
    one, two = (chosen[side] for side in np.nonzero(group[:, None] < group))
    sets, homes = [], []
    for start in range(0, len(one), _CHUNK_PAIRS):
        a, b = (side[start : start + _CHUNK_PAIRS] for side in (one, two))
        for sign in (1.0, -1.0):
            mixed = bins.amplitudes[a] + sign * bins.amplitudes[b]
            decoded, rows = hard_decode(bins.structure.code, mixed)
            places = bins.places(decoded)
            home = (places == a[rows, None]) | (places == b[rows, None])
            at_home = home.sum(axis=1) == 2
            sets.append(decoded[at_home])
            homes.append(home[at_home])
    if not sets:
        return _nothing(bins)
    return _confirm(bins, np.concatenate(sets), np.concatenate(homes))


def scan_low_degree(bins: Bins, *, most: int) -> Candidates:
    """Matched filter: the estimate of every set of low degree from all subsamplings.

    The largest of N standard normal variables is near sqrt(2 log N); with all sets of a degree to
    choose from, one more standard error than that is needed.

    Args:
        bins: bins without the terms accepted so far.
        most: largest number of sets; degrees are added while all their sets fit.
    """
    n, t = bins.structure.code.n, bins.structure.max_degree
    sets, evidence, needed = [], [], []
    total = 0
    for degree in range(1, t + 1):
        count = comb(n, degree)
        total += count
        if total > most:
            break
        bar = np.sqrt(2 * np.log(count)) + 1
        for block in _all_sets(n, t, degree):
            score = np.abs(_pooled(*bins.matches(block)))
            good = score >= bar
            sets.append(block[good])
            evidence.append(score[good])
            needed.append(np.full(good.sum(), bar))
    if not sets:
        return _nothing(bins)
    return Candidates(np.concatenate(sets), np.concatenate(evidence), np.concatenate(needed))


def _confirm(
    bins: Bins, sets: Int64[np.ndarray, "M t"], home: Bool[np.ndarray, "M C"]
) -> Candidates:
    """Evidence for sets from the subsamplings they were not found in; ``home`` marks the others."""
    if not len(sets):
        return _nothing(bins)
    both = np.unique(np.column_stack([sets, home]), axis=0)
    sets, home = both[:, : sets.shape[1]], both[:, sets.shape[1] :].astype(bool)
    estimates, variances = bins.matches(sets)
    direction = np.sign(np.where(home, estimates, 0.0).sum(axis=1))
    score = _pooled(estimates, np.where(home, np.inf, variances)) * direction
    distinct, inverse = np.unique(sets, axis=0, return_inverse=True)
    best = np.zeros(len(distinct))
    np.maximum.at(best, inverse.reshape(-1), score)
    return Candidates(distinct, best, np.zeros(len(distinct)))


def _nothing(bins: Bins) -> Candidates:
    none = np.empty((0, bins.structure.max_degree), dtype=np.int64)
    return Candidates(none, np.empty(0), np.empty(0))


def _all_sets(n: int, t: int, degree: int) -> Iterator[Int64[np.ndarray, "N t"]]:
    """All sets of a degree, largest player first, in blocks."""
    players = chain.from_iterable(combinations(range(n - 1, -1, -1), degree))
    while (flat := np.fromiter(islice(players, degree * _CHUNK_SETS), dtype=np.int64)).size:
        block = np.full((flat.size // degree, t), -1, dtype=np.int64)
        block[:, :degree] = flat.reshape(-1, degree)
        yield block


def _pooled(
    estimates: Float64[np.ndarray, "N C"], variances: Float64[np.ndarray, "N C"]
) -> Float64[np.ndarray, " N"]:
    weights = 1.0 / np.maximum(variances, np.finfo(float).tiny)
    return (weights * estimates).sum(axis=1) / np.sqrt(weights.sum(axis=1))


def _syndromes(amplitudes: Float64[np.ndarray, "N D"]) -> UInt64[np.ndarray, "N w"]:
    negative = amplitudes < 0
    return pack(negative[:, 1:] ^ negative[:, :1])


def _flip_words(code: SourceCode) -> UInt64[np.ndarray, "D w"]:
    """The change of a syndrome when the sign of each delay is flipped."""
    return pack(np.concatenate([np.ones((1, code.parity), bool), np.eye(code.parity, dtype=bool)]))


@lru_cache(maxsize=16)
def _patterns(flips: int, depth: int) -> Bool[np.ndarray, "K flips"]:
    """All ways to choose up to ``depth`` of ``flips`` positions."""
    chosen = [c for size in range(depth + 1) for c in combinations(range(flips), size)]
    patterns = np.zeros((len(chosen), flips), dtype=bool)
    for row, positions in enumerate(chosen):
        patterns[row, list(positions)] = True
    return patterns
