"""Kept sets that rankings of the players propose, such as those by gradients; ablations decide among them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float64

from spex_mech.core.errors import InputError
from spex_mech.core.masks import unique
from spex_mech.core.spectrum import Spectrum
from spex_mech.pruning.moves import AllowedSets, resized
from spex_mech.pruning.nearby import SpectrumTerms


def additive(scores: Float64[np.ndarray, " n"]) -> Spectrum:
    """The spectrum of the sum of the kept players' scores (n,)."""
    n = len(scores)
    coefficients = np.concatenate([[scores.sum()], -scores]) / 2.0
    return Spectrum.from_supports([(), *((i,) for i in range(n))], coefficients, n)


def check_rankings(rankings: npt.ArrayLike | None, n: int) -> Float64[np.ndarray, "r n"]:
    """Rankings as float64 (r, n); None is no ranking.

    Raises:
        InputError: another shape, or a score that is not finite.
    """
    table = np.zeros((0, n)) if rankings is None else np.asarray(rankings, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != n:
        raise InputError(
            f"rankings have shape {table.shape}, expected (rankings, {n}), a score of each player in every "
            "row; put a single ranking in a list"
        )
    if not np.isfinite(table).all():
        raise InputError("rankings hold a score that is NaN or infinite; give finite scores")
    return table


def proposed(rankings: Float64[np.ndarray, "r n"], allowed: AllowedSets) -> Bool[np.ndarray, "k n"]:
    """The distinct allowed sets that keep the players of the highest scores, one for each ranking at most."""
    everything = np.ones(allowed.n, dtype=bool)
    sets = [resized(SpectrumTerms(additive(scores)), everything, allowed) for scores in rankings]
    masks = np.array([mask for mask in sets if mask is not None], dtype=bool)
    masks = masks.reshape(-1, allowed.n)
    return masks[unique(masks)[0]]
