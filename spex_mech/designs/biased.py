"""Biased masks: each player is present with a chosen probability (a product distribution)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64

from spex_mech.core.errors import InputError
from spex_mech.core.quoting import quoted
from spex_mech.designs.design import MaskDesign, check_size, inclusion_of, log_binomial, rates


def biased(
    n: int, budget: int, *, keep_rate: float | tuple[float, float] | npt.ArrayLike, seed: int = 0
) -> MaskDesign:
    """Draw masks in which players are present independently with probability ``keep_rate``.

    A model with half of its heads gone often no longer works; keep rates near 1 sample masks at
    which it still does. Equal masks can occur, and are evaluated once.

    Args:
        n: number of players.
        budget: number of masks.
        keep_rate: probability that a player is present: one number between 0 and 1; a tuple
            ``(low, high)`` from 0 to 1, low below high, from which every mask draws its own rate
            uniformly; or an array (n,), one rate per player, between 0 and 1.
        seed: seed of the draw.

    Raises:
        InputError: a rate that is not between 0 and 1, a range that is not within 0 to 1, or the wrong
            shape.
    """
    check_size(n, budget, seed)
    rng = np.random.default_rng(seed)
    spread = isinstance(keep_rate, tuple) and len(keep_rate) == 2
    probabilities = np.asarray(keep_rate, dtype=float)
    if spread:
        low, high = probabilities
        if not (0 <= low <= high <= 1) or low == high in (0, 1):
            raise InputError(
                f"keep_rate range is {keep_rate!r}, expected (low, high) from 0 to 1, low below high"
            )
        row_rates, player_rates = rng.uniform(low, high, (budget, 1)), rates(n, (low + high) / 2)
    elif not (probabilities.size and np.all((probabilities > 0) & (probabilities < 1))):
        raise InputError(
            f"keep_rate is {quoted(keep_rate)}, expected probabilities between 0 and 1"
        )
    elif probabilities.ndim == 0 or probabilities.shape == (n,):
        row_rates = player_rates = rates(n, probabilities)
    else:
        raise InputError(
            f"keep_rate has shape {probabilities.shape}, expected one number, a (low, high) tuple "
            f"or one rate for each of {n} players"
        )
    masks = rng.random((budget, n)) < row_rates
    inclusion = None
    if spread or probabilities.ndim == 0:
        inclusion = inclusion_of(_of_sizes(n, np.atleast_1d(probabilities)), budget)
    return MaskDesign(masks, seed, "biased", player_rates, inclusion=inclusion)


def _of_sizes(n: int, rate: Float64[np.ndarray, " r"]) -> Float64[np.ndarray, " n+1"]:
    """The probability that a mask is a certain one of each size: at one rate, or at any of a range."""
    from scipy.special import betainc, xlog1py, xlogy

    sizes = np.arange(n + 1)
    low, high = rate[0], rate[-1]
    if low == high:
        return np.exp(xlogy(sizes, low) + xlog1py(n - sizes, -low))
    a, b = sizes + 1.0, n - sizes + 1.0
    share = betainc(a, b, high) - betainc(a, b, low)
    return share * np.exp(-log_binomial(n, sizes)) / ((n + 1) * (high - low))
