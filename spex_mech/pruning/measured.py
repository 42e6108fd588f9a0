"""What a search is given: masks that have been measured, and games that have scores of single questions."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float64


class MeasuredMasks(Protocol):
    """Masks with their values, such as a `Run`."""

    @property
    def masks(self) -> Bool[np.ndarray, "m n"]:
        """True = present."""
        ...

    @property
    def values(self) -> Float64[np.ndarray, " m"]:
        """The value of each mask."""
        ...


@runtime_checkable
class ScoresExamples(Protocol):
    """A game that has its scores, and any metric of every example."""

    def scores(self, masks: Bool[np.ndarray, "m n"], /) -> Any:
        """Raw scores of every mask and example."""
        ...

    def per_example(self, scores: Any, /, *, metric: str | None = None) -> Any:
        """The game's metric, or another, of every mask and example."""
        ...
