"""What gradients say about relevances, before any mask is evaluated."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64

from spex_mech.core.errors import InputError
from spex_mech.decoders.gp.fit import FEW_PLAYERS

_FLOOR = 0.1  # of the mean squared gradient, so that no player is taken to be without relevance


def centre_of(gradients: npt.ArrayLike | None, n: int) -> Float64[np.ndarray, " n"] | None:
    """What the logarithms of the players' relevances are drawn to: those of their squared gradients.

    The prior variance of a single player's Fourier term is proportional to its relevance, and a gradient by
    the player's gate is an estimate of that term near the full model. A tenth of the mean square is added
    to each square.

    Args:
        gradients: float64 (n,), in any unit; None for none.
        n: number of players.

    Returns:
        The logarithms, with mean 0; None without gradients, where all are zero, and with 32 players or fewer:
        there some masks tell more than gradients do, and these made R² neither better nor worse.

    Raises:
        InputError: gradients that are not finite numbers, one for each player.
    """
    if gradients is None:
        return None
    try:
        found = np.asarray(gradients, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.full(0, np.nan)
    if found.shape != (n,) or not np.isfinite(found).all():
        raise InputError(
            f"gradients have shape {np.shape(gradients)}, expected {n} finite numbers, one for each player: "
            "the mean over questions, such as sm.gate_gradients(game).mean(axis=0)"
        )
    square = found**2
    if n <= FEW_PLAYERS or not square.any():
        return None
    logs = np.log(square + _FLOOR * square.mean())
    return logs - logs.mean()
