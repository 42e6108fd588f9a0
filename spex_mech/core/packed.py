"""Operations on packed supports: adding up equal ones, and taking all subsets of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float64, Int64, UInt64

from spex_mech.core.errors import InputError


def pack_supports(supports: Sequence[Iterable[int]], n: int) -> UInt64[np.ndarray, "s w"]:
    """Pack sets of players into words as `masks.pack` does: player i is bit i % 64 of word i // 64.

    Raises:
        InputError: a player outside 0..n-1, or the same player twice in a support.
    """
    lists = [list(support) for support in supports]
    sizes = np.fromiter(map(len, lists), dtype=np.int64, count=len(lists))
    flat = [player for support in lists for player in support]
    players = np.asarray(flat, dtype=np.int64) if flat else np.empty(0, dtype=np.int64)
    if players.size and (players.min() < 0 or players.max() >= n):
        wrong = players[(players < 0) | (players >= n)][0]
        raise InputError(f"a support names player {wrong}, expected players from 0 to {n - 1}")
    words = np.zeros((len(lists), word_count(n)), dtype=np.uint64)
    rows = np.repeat(np.arange(len(lists)), sizes)
    np.bitwise_or.at(words, (rows, players // 64), bit(players))
    twice = np.flatnonzero(degrees(words) != sizes)
    if twice.size:
        raise InputError(
            f"support {tuple(lists[twice[0]])} names a player twice; name each player once"
        )
    return words


def pack_players(players: Int64[np.ndarray, "s d"], n: int) -> UInt64[np.ndarray, "s w"]:
    """Pack sets of equally many players, given as rows of distinct players from 0 to n - 1."""
    words = np.zeros((len(players), word_count(n)), dtype=np.uint64)
    rows = np.arange(len(players))
    for column in players.T:
        words[rows, column // 64] |= bit(column)
    return words


def word_count(n: int) -> int:
    """Number of 64-bit words that hold ``n`` players."""
    return max(1, -(-n // 64))


def bit(players: Int64[np.ndarray, "*k"]) -> UInt64[np.ndarray, "*k"]:
    """The bit of each player within its word."""
    return np.uint64(1) << (players % 64).astype(np.uint64)


def degrees(words: UInt64[np.ndarray, "s w"]) -> Int64[np.ndarray, " s"]:
    """Number of players in each support."""
    return np.bitwise_count(words).sum(axis=1, dtype=np.int64)


def players_of(words: UInt64[np.ndarray, "s w"], degree: int) -> Int64[np.ndarray, "s d"]:
    """Players of supports that all have ``degree`` players, in increasing order."""
    out = np.empty((len(words), degree), dtype=np.int64)
    left = words.copy()
    rows = np.arange(len(words))
    for k in range(degree):
        word = (left != 0).argmax(axis=1)
        value = left[rows, word]
        lowest = value & (~value + np.uint64(1))
        out[:, k] = word * 64 + np.bitwise_count(lowest - np.uint64(1))
        left[rows, word] = value ^ lowest
    return out


def group(
    words: UInt64[np.ndarray, "s w"],
) -> tuple[UInt64[np.ndarray, "u w"], Int64[np.ndarray, " s"]]:
    """Find equal rows: the distinct ones, and for each row the number of its distinct row.

    Rows are thrown into a table by a hash, and every row is compared with the one that stands at its
    place; the few that meet another row there go through a further round. Faster than sorting.
    """
    representative = np.empty(len(words), dtype=np.int64)
    left = np.arange(len(words))
    rows, key = words, _hash(words)
    while len(left):
        slots = 1 << (2 * len(left)).bit_length()
        place = (key & np.uint64(slots - 1)).astype(np.int64)
        table = np.empty(slots, dtype=np.int64)
        table[place[::-1]] = np.arange(len(left) - 1, -1, -1)  # the first row of a place stays
        first = table[place]
        same = (rows[first] == rows).all(axis=1)
        representative[left[same]] = left[first[same]]
        left, rows = left[~same], rows[~same]
        key = splitmix64(key[~same])
    is_first = representative == np.arange(len(words))
    return words[is_first], (np.cumsum(is_first) - 1)[representative]


def combine(
    words: UInt64[np.ndarray, "s w"], weights: Float64[np.ndarray, " s"]
) -> tuple[UInt64[np.ndarray, "u w"], Float64[np.ndarray, " u"]]:
    """Add up the weights of equal rows; rows stay in the order of their first appearance."""
    distinct, inverse = group(words)
    return distinct, np.bincount(inverse, weights=weights, minlength=len(distinct))


def splitmix64(h: UInt64[np.ndarray, "*k"]) -> UInt64[np.ndarray, "*k"]:
    """One step of splitmix64: an invertible map of 64-bit words that looks random."""
    h = h + np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


def _hash(words: UInt64[np.ndarray, "s w"]) -> UInt64[np.ndarray, " s"]:
    h = np.zeros(len(words), dtype=np.uint64)
    for column in words.T:
        h = splitmix64(h + column)
    return h
