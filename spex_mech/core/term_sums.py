"""Sums of many Fourier terms on many masks, by the parities of eight terms at a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

_AT_ONCE = 1 << 17  # terms times masks whose parities are held, in bytes of eight masks
# Row i holds the signs (-1)^{bit k of i} of eight parities.
_SIGNS = 1.0 - 2.0 * (np.arange(256)[:, None] >> np.arange(8) & 1)
# Swaps that transpose 8 x 8 bits in a uint64 (Warren, Hacker's Delight, section 7-3): shifts and masks.
_TRANSPOSE = ((7, 0x00AA00AA00AA00AA), (14, 0x0000CCCC0000CCCC), (28, 0x00000000F0F0F0F0))


@dataclass(frozen=True, eq=False)
class TermSums:
    """sum_S F(S) (-1)^{|S ∩ x|} of s terms; call it on masks.

    Attributes:
        players: int64 (d,), the players of all terms, one term after another.
        ends: int64 (s + 1,), where each term begins, and d.
        coefficients: float64 (s,), F.
    """

    players: Int64[np.ndarray, " d"]
    ends: Int64[np.ndarray, " s+1"]
    coefficients: Float64[np.ndarray, " s"]

    def __call__(self, masks: Bool[np.ndarray, "c n"]) -> Float64[np.ndarray, " c"]:
        """Values (c,) of masks (c, n), True = present.

        The parities |S ∩ x| of eight terms form a byte per mask, which indexes the 256 sums of those
        terms. The sums are added in the terms' order, whatever the number of masks, so that a mask's value
        does not depend on the masks beside it.
        """
        columns = np.packbits(np.ascontiguousarray(masks.T), axis=1, bitorder="little")
        total = np.zeros(8 * columns.shape[1])
        step = max(1, _AT_ONCE // max(len(total), 1))  # groups of eight terms
        for start in range(0, len(self._sums), step):
            sums = self._sums[start : start + step]
            index = self._bytes(columns, start, len(sums))
            index += 256 * np.arange(len(sums))[:, None]
            picked = np.empty((1 + len(sums), len(total)))
            picked[0] = total
            np.take(sums, index, out=picked[1:], mode="clip")
            np.add.reduce(picked, axis=0, out=total)
        return total[: len(masks)]

    @cached_property
    def _sums(self) -> Float64[np.ndarray, "g 256"]:
        """The 256 signed sums of each eight terms."""
        starts = range(0, len(self.coefficients), 8)
        eights = [self.coefficients[start : start + 8] for start in starts]
        sums = [(_SIGNS[:, : len(weights)] * weights).sum(axis=1) for weights in eights]
        return np.array(sums).reshape(-1, 256)

    def _bytes(
        self, columns: UInt8[np.ndarray, "n b"], start: int, groups: int
    ) -> Int64[np.ndarray, "g 8*b"]:
        """The bytes of some groups of eight terms for all masks, of which ``columns`` holds eight a byte."""
        ends = self.ends[8 * start : 8 * (start + groups) + 1]
        first, sizes = ends[:-1], np.diff(ends)
        odd = np.zeros((8 * groups, columns.shape[1]), dtype=np.uint8)
        for k in range(int(sizes.max(initial=0))):
            rows = np.flatnonzero(sizes > k)
            odd[rows] ^= columns[self.players[first[rows] + k]]
        # A uint64 holds eight terms (bytes) of eight masks (bits); transposed, eight masks of eight terms.
        blocks = np.ascontiguousarray(odd.reshape(groups, 8, -1).swapaxes(1, 2))
        blocks = blocks.view("<u8")[..., 0]
        for shift, mask in _TRANSPOSE:
            swapped = (blocks ^ (blocks >> np.uint64(shift))) & np.uint64(mask)
            blocks = blocks ^ swapped ^ (swapped << np.uint64(shift))
        return blocks.astype("<u8", copy=False).view(np.uint8).astype(np.int64)
