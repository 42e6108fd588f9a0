"""Which version of each part stands in a masked input: 0 is the part itself, 1 and up its replacements."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int64, UInt64

from spex_mech.core.masks import pack


def choose(
    masks: Bool[np.ndarray, "m n"], counts: Int64[np.ndarray, " n"], seed: int
) -> Int64[np.ndarray, "m n"]:
    """Draw a replacement for every removed part, always the same for the same seed, mask and part.

    Args:
        masks: bool (m, n), True = present.
        counts: int (n,), how many replacements each part has, 1 or more.
        seed: another seed draws others; it matters only where a part has several.

    Returns:
        int64 (m, n): 0 where present, else the number of the replacement, from 1.
    """
    if (counts == 1).all():
        return (~masks).astype(np.int64)
    row = np.full(len(masks), np.uint64(seed & 0xFFFFFFFFFFFFFFFF))
    for word in pack(masks).T:
        row = _mix(row ^ word)
    column = np.arange(masks.shape[1], dtype=np.uint64) * np.uint64(0xD1342543DE82EF95)
    drawn = _mix(row[:, None] + column) % counts.astype(np.uint64)
    return np.where(masks, 0, drawn.astype(np.int64) + 1)


def _mix(h: UInt64[np.ndarray, "*m"]) -> UInt64[np.ndarray, "*m"]:
    """One step of splitmix64: an invertible map of 64-bit words that looks random."""
    h = h + np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))
