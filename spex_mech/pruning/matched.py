"""`matched`: a kept set that is as good as the full model, from one that is better.

A search for the highest value finds sets above the full model, because some players lower its value. Such a
set is good for pruning; as an account of what the model does it is as far off as one below it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool

from spex_mech.core.errors import InputError
from spex_mech.core.masks import check_masks
from spex_mech.pruning.nearby import SetFunction
from spex_mech.pruning.proposals import check_rankings


def matched(
    game: SetFunction,
    kept: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    steps: int = 5,
) -> Bool[np.ndarray, " n"]:
    """The set of the same size whose value is nearest to the full model's, of those that exchanges lead to.

    The removed players of the lowest scores are taken back, in exchange for the kept players of the lowest
    scores. The more are exchanged, the lower the value is expected to be, so that their number is found by
    bisection. A set that is not above the full model stays as it is.

    Args:
        game: the value function; asked for the full model, the kept set, and one set a step.
        kept: bool (n,), True = kept.
        scores: float (n,), higher = the player raises the value more, such as the mean of
            `ablation.gate_gradients`.
        steps: ablations of the bisection, 1 or more.

    Raises:
        InputError: arrays of other shapes, or fewer than one step.
    """
    mask = np.asarray(kept)
    if mask.ndim != 1:
        raise InputError(f"kept has shape {mask.shape}, expected one set of players, bool (n,)")
    mask = check_masks(mask[None], len(mask))[0]
    (ranking,) = check_rankings(np.asarray(scores, dtype=np.float64)[None], len(mask))
    if steps < 1:
        raise InputError(f"steps is {steps}, expected 1 or more ablations of the bisection")
    full, value = game(np.stack([np.ones(len(mask), dtype=bool), mask]))
    inside, outside = (
        players[np.argsort(ranking[players], kind="stable")]
        for players in (np.flatnonzero(mask), np.flatnonzero(~mask))
    )
    best, gap = mask, abs(value - full)
    low, high = 0, min(len(inside), len(outside))
    for _ in range(steps if value > full else 0):
        if high - low < 2:
            break
        middle = (low + high) // 2
        other = mask.copy()
        other[inside[:middle]], other[outside[:middle]] = False, True
        value = game(other[None])[0]
        if abs(value - full) < gap:
            best, gap = other, abs(value - full)
        low, high = (middle, high) if value > full else (low, middle)
    return best
