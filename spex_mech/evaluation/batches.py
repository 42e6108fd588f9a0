"""Which masks are evaluated together: the same ones, whoever evaluates them and however often it stops."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int64

from spex_mech.core.masks import pack
from spex_mech.evaluation.executors.executor import Batch


def batches_of(wanted: Batch, known: Bool[np.ndarray, " m"], size: int) -> list[Batch]:
    """Cut masks at every multiple of ``size`` and leave out what is known.

    Cutting before leaving out gives a run that goes on the batches of one that was never stopped.
    """
    cut = [
        wanted[start : start + size][~known[start : start + size]]
        for start in range(0, len(wanted), size)
    ]
    return [batch for batch in cut if len(batch)]


class MaskIndex:
    """Finds masks among others by binary search, or masks with a question each.

    Args:
        masks: bool (m, n); of equal ones the first is found.
        questions: int64 (m,), the question of each mask, where these belong to what is looked for.
    """

    def __init__(
        self, masks: Bool[np.ndarray, "m n"], questions: Int64[np.ndarray, " m"] | None = None
    ) -> None:
        keys = _items(masks, questions)
        self._order = np.argsort(keys, kind="stable")
        self._sorted = keys[self._order]

    def find(
        self, masks: Bool[np.ndarray, "k n"], questions: Int64[np.ndarray, " k"] | None = None
    ) -> np.ndarray:
        """Row of each mask (k,), or of each mask and question, or −1 where it is not there."""
        keys = _items(masks, questions)
        if not len(self._sorted):
            return np.full(len(keys), -1)
        place = np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)
        return np.where(self._sorted[place] == keys, self._order[place], -1)


def _items(masks: np.ndarray, questions: np.ndarray | None) -> np.ndarray:
    """One sortable item per mask; big-endian bytes of several words sort as the words do."""
    words = np.ascontiguousarray(pack(masks))
    if questions is not None:
        words = np.column_stack([words, questions.astype(np.uint64)])
    if words.shape[1] == 1:
        return words[:, 0]
    return np.ascontiguousarray(words.astype(">u8")).view(f"S{8 * words.shape[1]}").reshape(-1)
