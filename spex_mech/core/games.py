"""The types shared by both sides of the library: masks, values and value functions.

A mask says which players are present: ``True`` = present, everywhere, without exception.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt64

from spex_mech.core.players import PlayerSet

Masks: TypeAlias = Bool[np.ndarray, "m n"]
"""Bool array (m, n): row j is one coalition, column i one player, True = present."""

Values: TypeAlias = Float64[np.ndarray, " m"]
"""Float64 array (m,): the value of each mask."""

Scores: TypeAlias = Float32[np.ndarray, "m e ..."]
"""Float32 array (m, examples) or (m, examples, answers): the raw scores behind the values."""


@runtime_checkable
class ValueFunction(Protocol):
    """A game: maps coalitions to numbers. Deterministic, and each row independent of the others."""

    @property
    def players(self) -> PlayerSet:
        """The ordered players."""
        ...

    @property
    def fingerprint(self) -> str:
        """Text that changes whenever an answer could change."""
        ...

    def __call__(self, masks: Masks, /) -> Values:
        """Values (m,) of masks (m, n)."""
        ...


@runtime_checkable
class ScoredValueFunction(ValueFunction, Protocol):
    """A game that keeps a score for every example; its value is a metric's mean over them."""

    def scores(self, masks: Masks, /) -> Scores:
        """Raw scores of every mask and example."""
        ...

    def values_from_scores(self, scores: Scores, /) -> Values:
        """The metric's mean over the examples, (m,)."""
        ...


@runtime_checkable
class Posterior(Protocol):
    """A full model of a game that knows how sure it is."""

    def __call__(self, masks: Masks, /) -> Values:
        """Expected values (m,) of masks (m, n)."""
        ...

    def std(self, masks: Masks, /) -> Values:
        """Standard deviations (m,) of what evaluating masks (m, n) would give."""
        ...

    def deviations(
        self,
        words: UInt64[np.ndarray, "k w"],
        values: Float64[np.ndarray, " k"],
        weight: Callable[[int, int], float],
        /,
    ) -> Float64[np.ndarray, " k"]:
        """Root mean square of sum_{S ⊇ T} weight(|S|, |T|) F(S) about ``values``, for packed sets T."""
        ...
