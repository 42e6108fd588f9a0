"""`MaskDesign`: the masks to evaluate, and what a decoder must know about how they were chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float64, Int64

from spex_mech.core.errors import InputError
from spex_mech.core.masks import check_masks
from spex_mech.core.quoting import quoted
from spex_mech.core.seeds import check_seed
from spex_mech.core.short_repr import short_repr

_MOST_CELLS = 1 << 30


@short_repr
@dataclass(frozen=True, eq=False)
class MaskDesign:
    """Masks chosen before anything is evaluated; ``len(design)`` is their cost in evaluations.

    A decoder never samples and a design never evaluates.

    Attributes:
        masks: bool (m, n), True = present. Read-only.
        seed: the seed that made the masks.
        kind: name of the design (``uniform``, ``spex``, ...); ``custom`` for masks of your own.
        keep_rates: float64 (n,), the probability that each player is present; measured from the
            masks when not given.
        structure: what a decoder of coded designs needs (hash matrices and delays), or which masks of a
            crossed design belong together; else None.
        inclusion: float64 (n + 1,), the probability that a coalition of 0, 1, ... n players is in the
            design, of designs that treat all coalitions of a size alike; None of others.

    Raises:
        InputError: masks that are not bool (m, n), without players or without rows.
    """

    masks: Bool[np.ndarray, "m n"]
    seed: int
    kind: str = "custom"
    keep_rates: Float64[np.ndarray, " n"] | None = None
    structure: Any = field(default=None, repr=False)
    inclusion: Float64[np.ndarray, " n+1"] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        masks = check_masks(self.masks).copy()
        if masks.shape[0] == 0 or masks.shape[1] == 0:
            raise InputError(
                f"a design needs at least one mask and one player, got masks of shape {masks.shape}"
            )
        rates = masks.mean(axis=0) if self.keep_rates is None else np.array(self.keep_rates, float)
        if rates.shape != (masks.shape[1],):
            raise InputError(f"keep_rates has shape {rates.shape}, expected ({masks.shape[1]},)")
        if self.inclusion is not None:
            inclusion = np.array(self.inclusion, float)
            if inclusion.shape != (masks.shape[1] + 1,):
                raise InputError(
                    f"inclusion has shape {inclusion.shape}, expected ({masks.shape[1] + 1},)"
                )
            inclusion.setflags(write=False)
            object.__setattr__(self, "inclusion", inclusion)
        masks.setflags(write=False)
        rates.setflags(write=False)
        object.__setattr__(self, "masks", masks)
        object.__setattr__(self, "keep_rates", rates)

    def __len__(self) -> int:
        return self.masks.shape[0]

    @property
    def n(self) -> int:
        """Number of players."""
        return self.masks.shape[1]


def check_size(n: int, budget: int, seed: int = 0) -> None:
    """Refuse a design of no players or no masks, one that no memory holds, or no seed.

    Raises:
        InputError: ``n`` or ``budget`` below 1, more than 2^30 players in all masks together, or what is no
            seed.
    """
    check_seed(seed)
    if n < 1:
        raise InputError(f"a design needs at least one player, got n={n}")
    if budget < 1:
        raise InputError(f"a design needs a budget of at least one mask, got {budget}")
    if n * budget > _MOST_CELLS:
        raise InputError(
            f"a design of {quoted(budget)} masks of {n} players does not fit in memory; at most "
            f"{_MOST_CELLS // n} masks are supported"
        )


def inclusion_of(
    per_draw: Float64[np.ndarray, " n+1"], draws: npt.ArrayLike
) -> Float64[np.ndarray, " n+1"]:
    """The probability that a coalition is in a design of independent draws.

    Args:
        per_draw: float64 (n + 1,), the probability that a draw is a certain coalition of 0, 1, ... players.
        draws: number of draws, for all sizes or for each of them (n + 1,).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        inclusion = -np.expm1(np.asarray(draws, dtype=float) * np.log1p(-per_draw))
    return np.where(per_draw >= 1.0, 1.0, inclusion)


def log_binomial(n: int, sizes: Int64[np.ndarray, " k"]) -> Float64[np.ndarray, " k"]:
    """The logarithms of the numbers of coalitions of some sizes."""
    from scipy.special import gammaln

    return gammaln(n + 1) - gammaln(sizes + 1) - gammaln(n - sizes + 1)


def rates(n: int, rate: npt.ArrayLike) -> Float64[np.ndarray, " n"]:
    """One keep rate for each of ``n`` players, from a scalar or an array (n,)."""
    return np.broadcast_to(np.asarray(rate, dtype=float), (n,)).copy()
