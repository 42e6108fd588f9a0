"""Codes that name a small set of players by a few parities.

A source code gives every player a short word of bits; the syndrome of a set is the XOR of its players'
words, and the code finds the set from the syndrome. Everything works on packed words and on all
syndromes at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Int64, UInt64

from spex_mech.core.errors import InputError
from spex_mech.core.masks import pack, unpack
from spex_mech.designs.gf2 import MAX_BITS, Field

_CHUNK_WORDS = 1 << 15
_CHUNK_CELLS = 1 << 22


class DecodedSets(NamedTuple):
    """The sets that a source code finds in N syndromes.

    Attributes:
        players: int64 (N, t), the players of each set, padded with -1.
        decodable: bool (N,), whether a set was decodable; a row without one holds only -1.
    """

    players: Int64[np.ndarray, "N t"]
    decodable: Bool[np.ndarray, " N"]


def source_code(n: int, t: int) -> SourceCode:
    """The shorter of a BCH code and the identity (one parity for each player).

    Raises:
        InputError: ``n`` or ``t`` below 1, or more players than GF(2^16) holds.
    """
    if n < 1 or t < 1:
        raise InputError(f"a code needs at least 1 player and degree 1, got n={n} and t={t}")
    if t >= n or BCHCode(n, t).parity >= n:
        return IdentityCode(n, min(t, n))
    return BCHCode(n, t)


def xor_of(
    words: UInt64[np.ndarray, "n w"], players: Int64[np.ndarray, "N t"]
) -> UInt64[np.ndarray, "N w"]:
    """XOR of the words of each row's players; -1 stands for no player."""
    padded = np.concatenate([words, np.zeros_like(words[:1])])
    out = padded[players[:, 0]]
    for k in range(1, players.shape[1]):
        out ^= padded[players[:, k]]
    return out


@dataclass(frozen=True)
class IdentityCode:
    """Each player's word is a bit of its own. No wrong bit is corrected.

    This is the shortest code for few players.
    """

    n: int
    t: int

    @property
    def parity(self) -> int:
        """Bits in a word."""
        return self.n

    @cached_property
    def columns(self) -> UInt64[np.ndarray, "n w"]:
        """The packed word of each player."""
        return pack(np.eye(self.n, dtype=bool))

    def decode(self, syndromes: UInt64[np.ndarray, "N w"]) -> DecodedSets:
        """The set bits of each syndrome that has at most ``t`` of them."""
        bits = unpack(syndromes, self.n)
        decodable = bits.sum(axis=1) <= self.t
        players = np.where(bits, np.arange(self.n), self.n)
        players = np.sort(players, axis=1)[:, : self.t]
        players[(players == self.n) | ~decodable[:, None]] = -1
        return DecodedSets(players, decodable)


@dataclass(frozen=True)
class BCHCode:
    """A narrow-sense binary BCH code, shortened to ``n`` players and its parity bits.

    With g the generator polynomial (roots a, a^2, ..., a^2t), player i's word holds the coefficients
    of x^(P+i) mod g, P = deg g <= m t. A syndrome z with a set S of players and e wrong bits is a
    polynomial of degree < P that differs from a codeword in |S| + e places. While |S| + e <= t both
    are decodable, so a set of fewer than t players can be found despite t - |S| wrong bits (joint
    source-channel coding, SPEX, arXiv 2502.13870).

    Attributes:
        n: number of players.
        t: largest number of players plus wrong bits that is corrected.

    Raises:
        InputError: no field up to GF(2^16) is large enough.
    """

    n: int
    t: int

    def __post_init__(self) -> None:
        _ = self.field  # raises for sizes that no field has room for

    @cached_property
    def field(self) -> Field:
        """The smallest field with room for the players and the parity bits."""
        return _field_for(self.n, self.t)

    @cached_property
    def parity(self) -> int:
        """Bits in a word, P."""
        return _generator(self.field.m, self.t).bit_length() - 1

    @cached_property
    def columns(self) -> UInt64[np.ndarray, "n w"]:
        """The packed word of each player, x^(P+i) mod g."""
        generator = _generator(self.field.m, self.t)
        width = max(1, -(-self.parity // 64)) * 8
        remainder, octets = generator ^ (1 << self.parity), bytearray()
        for _ in range(self.n):
            octets += remainder.to_bytes(width, "little")
            remainder <<= 1
            if remainder >> self.parity:
                remainder ^= generator
        return np.frombuffer(bytes(octets), dtype="<u8").reshape(self.n, -1).astype(np.uint64)

    def decode(self, syndromes: UInt64[np.ndarray, "N w"]) -> DecodedSets:
        """Find each set of players whose size plus the number of wrong bits is at most ``t``."""
        players = np.full((len(syndromes), self.t), -1, dtype=np.int64)
        decodable = np.zeros(len(syndromes), dtype=bool)
        for start in range(0, len(syndromes), _CHUNK_WORDS):
            part = slice(start, start + _CHUNK_WORDS)
            locators, degree = self._locators(self._power_sums(syndromes[part]))
            decodable[part] = degree == 0
            for size in range(1, self.t + 1):
                rows = np.flatnonzero(degree == size)
                rows, places = self._roots(rows, locators[rows, : size + 1])
                places = np.sort(places - self.parity, axis=1)[:, ::-1]
                players[start + rows, :size] = np.maximum(places, -1)
                decodable[start + rows] = True
        return DecodedSets(players, decodable)

    @cached_property
    def _byte_sums(self) -> Int64[np.ndarray, "k 256 t"]:
        """Contribution of every value of every byte of a syndrome to its odd power sums."""
        count = self.columns.shape[1] * 8
        odd = np.arange(1, 2 * self.t, 2)
        places = np.arange(8 * count)
        powers = self.field.exp[(places[:, None] * odd) % self.field.order]
        powers[self.parity :] = 0
        table = np.zeros((count, 256, self.t), dtype=np.int64)
        for k in range(8):
            table[:, 1 << k : 2 << k] = table[:, : 1 << k] ^ powers[k::8][:, None]
        return table

    def _power_sums(self, syndromes: UInt64[np.ndarray, "N w"]) -> Int64[np.ndarray, "K N"]:
        """Row k holds the sum of X^k over the places X of a syndrome's bits; row 0 is not used."""
        octets = np.ascontiguousarray(syndromes, dtype="<u8").view(np.uint8)
        sums = np.zeros((2 * self.t + 1, len(syndromes)), dtype=np.int64)
        for k in range(octets.shape[1]):
            sums[1::2] ^= self._byte_sums[k][octets[:, k]].T
        for k in range(2, 2 * self.t + 1, 2):
            sums[k] = self.field.mul(sums[k // 2], sums[k // 2])
        return sums

    def _locators(
        self, sums: Int64[np.ndarray, "K N"]
    ) -> tuple[Int64[np.ndarray, "N e"], Int64[np.ndarray, " N"]]:
        """Berlekamp-Massey without inversions, binary form (Berlekamp 1968, algorithm 7.4).

        Returns:
            Coefficients of the monic polynomials whose roots are the places, highest power first, and
            their degrees; -1 where the shortest recurrence is longer than t or not a locator.
        """
        mul, t = self.field.mul, self.t
        count = sums.shape[1]
        now = np.zeros((t + 3, count), dtype=np.int64)
        last = np.zeros_like(now)
        now[0] = last[1] = 1
        length = np.zeros(count, dtype=np.int64)
        scale = np.ones(count, dtype=np.int64)
        for step in range(0, 2 * t, 2):
            gap = np.zeros(count, dtype=np.int64)
            for k in range(min(step, t) + 1):
                gap ^= mul(now[k], sums[step + 1 - k])
            longer = (gap != 0) & (2 * length <= step)
            following = mul(scale, now) ^ mul(gap, last)
            last[2:] = np.where(longer, now, last)[:-2]
            last[:2] = 0
            length = np.where(longer, step + 1 - length, length)
            scale = np.where(longer, gap, scale)
            now = following
        highest = now.shape[0] - 1 - (now[::-1] != 0).argmax(axis=0)
        degree = np.where((length <= t) & (highest == length), length, -1)
        return mul(now[: t + 1], self.field.inv(now[0])).T, degree

    def _roots(
        self, rows: Int64[np.ndarray, " N"], monic: Int64[np.ndarray, "N e"]
    ) -> tuple[Int64[np.ndarray, " M"], Int64[np.ndarray, "M d"]]:
        """Places of the roots of the polynomials that have all their roots among the code's places."""
        field, degree = self.field, monic.shape[1] - 1
        splits = _splits(field, monic)
        rows, monic = rows[splits], monic[splits]
        places = np.full((len(rows), degree), -1, dtype=np.int64)
        powers = np.arange(self.parity + self.n)
        step = max(1, _CHUNK_CELLS // len(powers))
        for start in range(0, len(rows), step):
            part = monic[start : start + step]
            value = np.repeat(part[:, :1], len(powers), axis=1)
            for k in range(1, degree + 1):
                value = field.exp[field.log[value] + powers] ^ part[:, k : k + 1]
            which, place = np.nonzero(value == 0)
            full = np.bincount(which, minlength=len(part)) == degree
            places[start : start + step][full] = place[full[which]].reshape(-1, degree)
        decodable = places[:, 0] >= 0
        return rows[decodable], places[decodable]


def _splits(field: Field, monic: Int64[np.ndarray, "N e"]) -> Bool[np.ndarray, " N"]:
    """Whether each monic polynomial has distinct roots, all in the field: x^(2^m) = x modulo it."""
    degree = monic.shape[1] - 1
    if degree == 1:
        return np.ones(len(monic), dtype=bool)
    low = monic[:, :0:-1].T  # x^degree = sum_k low[k] x^k
    reduced = np.zeros((2 * degree - 1, degree, len(monic)), dtype=np.int64)
    for k in range(2 * degree - 1):
        if k < degree:
            reduced[k, k] = 1
        else:
            reduced[k, 1:] = reduced[k - 1, :-1]
            reduced[k] ^= field.mul(reduced[k - 1, -1], low)
    power = reduced[1].copy()
    for _ in range(field.m):
        squares = field.mul(power, power)
        power = np.zeros_like(power)
        for k in range(degree):
            power ^= field.mul(squares[k], reduced[2 * k])
    return (power == reduced[1]).all(axis=0)


SourceCode: TypeAlias = IdentityCode | BCHCode
"""A word of ``parity`` bits for each of ``n`` players, and a decoder for sets of at most ``t``."""


@lru_cache(maxsize=32)
def _generator(m: int, t: int) -> int:
    """Generator polynomial over GF(2) with roots a, a^3, ..., a^(2t-1), as bits."""
    field = Field(m)
    product = 1
    for factor in {field.minimal_polynomial(power % field.order) for power in range(1, 2 * t, 2)}:
        shifts = [product << i for i in range(factor.bit_length()) if factor >> i & 1]
        product = 0
        for shifted in shifts:
            product ^= shifted
    return product


def _field_for(n: int, t: int) -> Field:
    for m in range(2, MAX_BITS + 1):
        if 2 * t < 1 << m and n + _generator(m, t).bit_length() - 1 < 1 << m:
            return Field(m)
    raise InputError(
        f"no code of degree {t} for {n} players in fields up to GF(2^{MAX_BITS}); "
        "use fewer players or a smaller max_degree"
    )
