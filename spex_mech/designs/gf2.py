"""Arithmetic over GF(2): ranks of binary matrices, and the fields GF(2^m)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int64

from spex_mech.core.errors import InputError
from spex_mech.core.masks import pack

MAX_BITS = 16
# The smallest primitive polynomial of each degree, as bits (Lidl and Niederreiter, table D).
_PRIMITIVE = {
    2: 0x7, 3: 0xB, 4: 0x13, 5: 0x25, 6: 0x43, 7: 0x83, 8: 0x11D, 9: 0x211, 10: 0x409, 11: 0x805,
    12: 0x1053, 13: 0x201B, 14: 0x402B, 15: 0x8003, 16: 0x1002D,
}  # fmt: skip


def gf2_rank(matrix: Bool[np.ndarray, "r c"]) -> int:
    """Rank over GF(2), by elimination on packed rows."""
    rows = pack(np.asarray(matrix, dtype=bool))
    rank = 0
    for column in range(matrix.shape[1]):
        has = rows[:, column // 64] >> np.uint64(column % 64) & np.uint64(1) != 0
        has[:rank] = False
        pivots = np.flatnonzero(has)
        if not pivots.size:
            continue
        rows[[rank, pivots[0]]] = rows[[pivots[0], rank]]
        below = pivots[1:]
        rows[below] ^= rows[rank]
        rank += 1
    return rank


@dataclass(frozen=True)
class Field:
    """GF(2^m), its elements as integers below 2^m; 2 is the primitive element.

    Raises:
        InputError: m outside 2..16.
    """

    m: int

    def __post_init__(self) -> None:
        if self.m not in _PRIMITIVE:
            raise InputError(f"GF(2^{self.m}) is not supported; m must be 2 to {MAX_BITS}")

    @property
    def order(self) -> int:
        """Number of non-zero elements."""
        return (1 << self.m) - 1

    @cached_property
    def exp(self) -> Int64[np.ndarray, " e"]:
        """Powers of the primitive element, (4 order + 1,): two periods, then zeros (see `log`)."""
        powers = np.zeros(4 * self.order + 1, dtype=np.int64)
        element = 1
        for i in range(self.order):
            powers[i] = powers[i + self.order] = element
            element <<= 1
            if element >> self.m:
                element ^= _PRIMITIVE[self.m]
        return powers

    @cached_property
    def log(self) -> Int64[np.ndarray, " q"]:
        """Discrete logarithms; log[0] = 2 order, so that exp[log a + log b] = 0 if a or b is 0."""
        logs = np.full(1 << self.m, 2 * self.order, dtype=np.int64)
        logs[self.exp[: self.order]] = np.arange(self.order)
        return logs

    def mul(
        self, a: Int64[np.ndarray, "*k"] | int, b: Int64[np.ndarray, "*k"] | int
    ) -> Int64[np.ndarray, "*k"]:
        """Product, element by element, with broadcasting."""
        return self.exp[self.log[a] + self.log[b]]

    def inv(self, a: Int64[np.ndarray, "*k"] | int) -> Int64[np.ndarray, "*k"]:
        """Inverse of non-zero elements."""
        return self.exp[self.order - self.log[a]]

    def minimal_polynomial(self, power: int) -> int:
        """Minimal polynomial over GF(2) of the primitive element's ``power``, as bits."""
        conjugates = {power * (1 << i) % self.order for i in range(self.m)}
        coefficients = [1]
        for c in sorted(conjugates):
            root = int(self.exp[c])
            raised = [0, *coefficients]
            scaled = [int(self.mul(root, a)) for a in coefficients] + [0]
            coefficients = [a ^ b for a, b in zip(raised, scaled, strict=True)]
        return sum(bit << i for i, bit in enumerate(coefficients))
