"""Rows of unequal length in batches: of similar length, and no larger than memory allows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

TOKENS = 1 << 13


def pack_rows(
    lengths: Sequence[int] | npt.NDArray[np.int64], most: int = TOKENS
) -> list[list[int]]:
    """Cut rows into batches by length, shortest first.

    Args:
        lengths: length of each row.
        most: tokens that a batch may have, padding included (a row that is longer stands alone).

    Returns:
        Numbers of rows, batch by batch; a batch with 256 tokens or more is closed rather than padded by
        more than an eighth.
    """
    batches: list[list[int]] = []
    batch: list[int] = []
    real = 0
    for row in np.argsort(np.asarray(lengths), kind="stable").tolist():
        length = int(lengths[row])
        padded = (len(batch) + 1) * length
        wasteful = real >= 256 and 8 * padded > 9 * (real + length)
        if batch and (padded > most or wasteful):
            batches.append(batch)
            batch, real = [], 0
        batch.append(row)
        real += length
    return [*batches, batch] if batch else batches


def padded(rows: Sequence[npt.NDArray[np.int32]], fill: int) -> npt.NDArray[np.int64]:
    """Rows as one array (b, t), filled up on the right."""
    width = max(len(row) for row in rows)
    out = np.full((len(rows), width), fill, dtype=np.int64)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out
