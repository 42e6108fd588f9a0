"""How much of something a method needs to reach a level."""

from __future__ import annotations

import numpy as np


def needed(rows: np.ndarray, r2: np.ndarray, level: float) -> float:
    """Rows (or masks) at which R² first reaches a level, interpolated in their logarithm; NaN where never."""
    order = np.argsort(rows)
    fewest = float(rows[order[0]])
    rows, r2 = np.log(rows[order]), np.maximum.accumulate(r2[order])
    if r2[-1] < level:
        return float("nan")
    at = int(np.argmax(r2 >= level))
    if at == 0:
        return fewest
    share = (level - r2[at - 1]) / (r2[at] - r2[at - 1])
    return float(np.exp(rows[at - 1] + share * (rows[at] - rows[at - 1])))
