"""Effects of players on each other's worth, read off a spectrum."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.stats import t

import spex_mech as sm
from spex_mech.core.packed import players_of


def differences(
    spectrum: sm.Spectrum, rates: np.ndarray, size: int, given: dict[int, bool] | None = None
) -> np.ndarray:
    """Expected differences of the value by each ``size`` players, all others present at their rates.

    With one player it is what it adds; with two, by how much the one is worth more when the other is there;
    with three, by how much the third changes that.

    Args:
        spectrum: of n players.
        rates: float (n,), how likely each is present.
        size: 1, 2 or 3.
        given: players that are certainly present or absent instead.

    Returns:
        float64, n in every direction: entry (i, j, ...) is the difference by players i < j < ..., else 0.
    """
    means = 1.0 - 2.0 * rates  # of a player's factor of a term: −1 where present, 1 where absent
    for player, present in (given or {}).items():
        means[player] = -1.0 if present else 1.0
    out = np.zeros((spectrum.n,) * size)
    for word, coefficient in zip(spectrum.words, spectrum.coefficients, strict=True):
        count = int(np.bitwise_count(word).sum())
        members = players_of(word[None], count)[0].tolist() if count >= size else []
        for chosen in combinations(members, size):
            rest = [means[i] for i in members if i not in chosen]
            out[chosen] += (-2.0) ** size * coefficient * np.prod(rest)
    return out


def interval(values: list[float]) -> str:
    """A mean with its 95 % interval by Student's t."""
    x = np.array(values)
    if len(x) < 2:
        return f"{x[0]:.3f}"
    half = float(t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    return f"{x.mean():.3f} ± {half:.3f}"
