"""What a `Spectrum` can ask of the model and the evidence behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float64, UInt64

from spex_mech.core.index_functional import IndexFunctional

if TYPE_CHECKING:
    from spex_mech.core.spectrum import Spectrum


@runtime_checkable
class Posterior(Protocol):
    """A full model of a game that knows how sure it is."""

    def __call__(self, masks: Bool[np.ndarray, "m n"], /) -> Float64[np.ndarray, " m"]:
        """Expected values (m,) of masks (m, n)."""
        ...

    def std(self, masks: Bool[np.ndarray, "m n"], /) -> Float64[np.ndarray, " m"]:
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


@runtime_checkable
class KnowsQuestions(Protocol):
    """A full model of a game that knows how single questions differ from their mean."""

    def deviation_of(self, question: int, /) -> Spectrum:
        """The spectrum of one question minus that of the mean over all questions.

        Raises:
            InputError: a question that there is not, or a model that knows nothing of single questions.
        """
        ...


@runtime_checkable
class IndexCorrection(Protocol):
    """What is known of a game beside a model of it, as `evidence.Evidence` is."""

    def correction(
        self, words: UInt64[np.ndarray, "k w"], functional: IndexFunctional, /
    ) -> Float64[np.ndarray, " k"]:
        """What to add to the model's interaction index of packed sets (k, w)."""
        ...

    @property
    def ends(self) -> Bool[np.ndarray, "e n"]:
        """The empty and the full mask, as far as they were evaluated."""
        ...

    def of_unseen_ends(
        self, words: UInt64[np.ndarray, "k w"], functional: IndexFunctional, /
    ) -> Float64[np.ndarray, " k"]:
        """Standard deviation of the index of packed sets (k, w) that comes from ends not evaluated."""
        ...
