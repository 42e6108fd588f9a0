"""A pilot: a few masks of all sizes, which show at which keep rates values move.

Masks at which an ablated model only guesses tell nothing about single players, and neither do masks at
which it answers like the whole model. Where the one ends and the other begins depends on model and task. A
twentieth of the budget is therefore spent on masks of all sizes. The mean value as a function of the removed
share x of the players is described by a Hill curve,

    v(x) = v(0) h(x) + floor (1 - h(x)),    h(x) = 1 / (1 + (x / half)^steepness),

whose parameters are averaged over their posterior distribution on a grid. `keep_range` returns the keep
rates between which h is .1 and .95.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.designs.biased import biased
from spex_mech.designs.design import MaskDesign, check_size, rates

_SHARE, _FEWEST, _MOST = 20, 4, 24  # of the budget; fewest masks that show anything, and enough
_SMALLEST, _LARGEST = 0.35, 0.95  # shares of present players, beside none and all of them
_SEED = 2_000_003  # added to the design's seed, so that pilot and design differ
_HALVES = np.geomspace(0.01, 0.8, 45)[:, None]
_STEEPNESSES = np.linspace(1.0, 6.0, 16)[None, :]
_HALF, _STEEPNESS = 0.2, 2.5  # prior medians; standard deviations are 1 (of log half)
_EMPTY = 4.0  # masks that the value of no players counts for, where the floor is fitted
_NOISE = 1e-3  # least mean squared error, in units of the squared range of values
_LEVELS = (0.1, 0.95)
_LOW, _HIGH = (0.1, 0.85), 0.95  # range of the low end; least high end


def pilot(n: int, budget: int, *, seed: int = 0) -> MaskDesign | None:
    """The pilot's masks: all players, none, and random sets of evenly spaced sizes.

    Args:
        n: number of players.
        budget: masks of the whole design; the pilot has a twentieth of them, at most 24.
        seed: seed of the whole design.

    Returns:
        The pilot, or None with a budget below 80, of which a twentieth would show nothing.

    Raises:
        InputError: as for `designs.biased`.
    """
    check_size(n, budget, seed)
    count = min(budget // _SHARE, _MOST)
    if count < _FEWEST:
        return None
    rng = np.random.default_rng(seed + _SEED)
    sizes = np.rint(n * np.linspace(_LARGEST, _SMALLEST, count - 2)).astype(int)
    ranks = np.argsort(rng.random((count - 2, n)), axis=1)
    masks = np.vstack([np.ones(n, bool), np.zeros(n, bool), ranks < sizes[:, None]])
    return MaskDesign(masks, seed, "pilot")


def keep_range(
    masks: Bool[np.ndarray, "m n"] | None,
    values: Float64[np.ndarray, " m"] | None,
    n: int,
) -> tuple[float, float]:
    """The keep rates (low, high) between which values move, from a pilot's values.

    Args:
        masks: bool (m, n), the pilot's masks, as `pilot` gives them; None without a pilot.
        values: float64 (m,), their values.
        n: number of players.

    Returns:
        ``low`` is between .1 and .85, ``high`` between .95 and 1 - 1 / n (or .95 where that is less), with
        three decimals, so that rounding in the values does not change the masks drawn from them.
        Without a pilot they are those of the prior distribution.
    """
    log_weights = -0.5 * (np.log(_HALVES / _HALF) ** 2 + (_STEEPNESSES - _STEEPNESS) ** 2)
    if masks is not None and values is not None:
        log_weights = log_weights + _log_likelihood(masks, values)
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    low, high = (
        1.0 - float((weights * np.minimum(_removed(level), 1.0)).sum()) for level in _LEVELS
    )
    most = max(_HIGH, 1.0 - 1.0 / n)
    low, high = np.clip(low, *_LOW), np.clip(high, _HIGH, most)
    return round(float(low), 3), round(float(high), 3)


def piloted(
    masks: MaskDesign | None, keep_rate: tuple[float, float], n: int, budget: int, *, seed: int = 0
) -> MaskDesign:
    """A pilot's masks, and then those of `designs.biased` up to the budget.

    Args:
        masks: the pilot; None for none.
        keep_rate: the range from `keep_range`.
        n: number of players.
        budget: number of masks, those of the pilot included.
        seed: seed of the draw.
    """
    spent = 0 if masks is None else len(masks)
    drawn = biased(n, budget - spent, keep_rate=keep_rate, seed=seed)
    every = drawn.masks if masks is None else np.vstack([masks.masks, drawn.masks])
    return MaskDesign(every, seed, "biased", rates(n, sum(keep_rate) / 2))


def _removed(level: float) -> Float64[np.ndarray, "h s"]:
    """The removed share at which h is at a level, for all parameters."""
    return _HALVES * (1.0 / level - 1.0) ** (1.0 / _STEEPNESSES)


def _log_likelihood(masks: np.ndarray, values: np.ndarray) -> Float64[np.ndarray, "h s"]:
    """With the floor and the noise at their most likely values; the curve begins at the full model's."""
    removed = 1.0 - masks.mean(axis=1)
    full, empty = values[removed == 0].mean(), values[removed == 1].mean()
    between = (removed > 0) & (removed < 1)
    x, v = removed[between][:, None, None], values[between][:, None, None]
    h = 1.0 / (1.0 + (x / _HALVES) ** _STEEPNESSES)
    left = v - full * h
    floor = (((1.0 - h) * left).sum(axis=0) + _EMPTY * empty) / (
        ((1.0 - h) ** 2).sum(axis=0) + _EMPTY
    )
    errors = ((left - floor * (1.0 - h)) ** 2).sum(axis=0) + _EMPTY * (floor - empty) ** 2
    count, span = int(between.sum()), float(np.ptp(values))
    if span == 0:
        return np.zeros(errors.shape)
    return -0.5 * count * np.log(errors / span**2 + _NOISE * count)
