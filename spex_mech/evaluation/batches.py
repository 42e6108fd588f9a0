"""Which masks are evaluated together: the same ones, whoever evaluates them and however often it stops."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from spex_mech.core.masks import pack


def batches_of(
    masks: Bool[np.ndarray, "m n"], known: Bool[np.ndarray, " m"], size: int
) -> list[Bool[np.ndarray, "b n"]]:
    """Cut masks at every multiple of ``size`` and leave out what is known.

    Cutting before leaving out gives a run that goes on the batches of one that was never stopped.
    """
    cut = [
        masks[start : start + size][~known[start : start + size]]
        for start in range(0, len(masks), size)
    ]
    return [batch for batch in cut if len(batch)]


class MaskIndex:
    """Finds masks among others by binary search.

    Args:
        masks: bool (m, n); of equal masks the first is found.
    """

    def __init__(self, masks: Bool[np.ndarray, "m n"]) -> None:
        keys = _items(masks)
        self._order = np.argsort(keys, kind="stable")
        self._sorted = keys[self._order]

    def find(self, masks: Bool[np.ndarray, "k n"]) -> np.ndarray:
        """Row of each mask (k,), or −1 where it is not there."""
        keys = _items(masks)
        if not len(self._sorted):
            return np.full(len(keys), -1)
        place = np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)
        return np.where(self._sorted[place] == keys, self._order[place], -1)


def _items(masks: np.ndarray) -> np.ndarray:
    """One sortable item per mask; big-endian bytes of several words sort as the words do."""
    words = np.ascontiguousarray(pack(masks))
    if words.shape[1] == 1:
        return words[:, 0]
    return np.ascontiguousarray(words.astype(">u8")).view(f"S{8 * words.shape[1]}").reshape(-1)
