"""The full model of a stack: blended predictions with standard deviations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, UInt64

from spex_mech.core.errors import InputError
from spex_mech.core.index_functional import IndexFunctional
from spex_mech.core.index_values import sets_by_size, table_index_values
from spex_mech.core.masks import check_masks, pack
from spex_mech.core.spectrum import Spectrum
from spex_mech.core.transform import walsh_hadamard
from spex_mech.decoders.gp.posterior import WalshPosterior
from spex_mech.decoders.gp.questions import effects
from spex_mech.decoders.stack.members import Fitted
from spex_mech.decoders.stack.weights import Blend

_PRECISION = 0.05  # error of indices that are drawn, in units of the reported deviation
_LOOKS = 100  # sets of a size whose deviation stands for all


@dataclass(frozen=True, eq=False)
class StackPredictor:
    """The blended predictions of the members; call it on masks.

    Attributes:
        members: fitted to all masks.
        blend: their weights.
        n: number of players.
        shift: what was subtracted from the values for the members.
        scale: what the values were then divided by.
        inflation: factor of the standard deviations of the first member that has them. With it their
            mean square agrees with that of the stack's errors on held-out masks.
        table: the predictions for all 2^n coalitions, in the units of the members, for few players.
    """

    members: tuple[Fitted, ...]
    blend: Blend
    n: int
    shift: float
    scale: float
    inflation: float
    table: Float64[np.ndarray, " N"] | None = None

    def __call__(self, masks: Bool[np.ndarray, "k n"]) -> Float64[np.ndarray, " k"]:
        """Predicted values (k,) of masks (k, n), True = present."""
        masks = check_masks(masks, self.n)
        if self.table is not None:
            return self.shift + self.scale * self.table[pack(masks)[:, 0].astype(np.int64)]
        out = np.full(len(masks), self.blend.mean * (1.0 - float(self.blend.weights.sum())))
        for member, weight in zip(self.members, self.blend.weights, strict=True):
            if weight > 0:
                out += weight * member.predict(masks)
        return self.shift + self.scale * out

    def std(self, masks: Bool[np.ndarray, "k n"]) -> Float64[np.ndarray, " k"]:
        """Standard deviation (k,) of one evaluation of each mask about its prediction.

        It includes the noise of an evaluation, and the part of the values that no member can follow.

        Raises:
            InputError: none of the members is a `Process` on values.
        """
        return self.scale * self.inflation * self._posterior().std(check_masks(masks, self.n))

    def deviations(
        self,
        words: UInt64[np.ndarray, "k w"],
        values: Float64[np.ndarray, " k"],
        weight: Callable[[int, int], float],
    ) -> Float64[np.ndarray, " k"]:
        """Root mean square of sum_{S ⊇ T} weight(|S|, |T|) F(S) about ``values``, for packed sets T.

        The standard deviation is that of the Gaussian process, times ``inflation``. The expectation is
        the stack's where all coalitions are known, and else the Gaussian process's, so that a
        disagreement of the two adds to the deviation.

        Raises:
            InputError: none of the members is a `Process` on values.
        """
        means, std = self._posterior().moments(words, weight)
        if self.table is not None:
            means = _superset_sums(self.table, words, weight)
        constant = np.where(words.any(axis=1), 0.0, self.shift * weight(0, 0))
        return np.hypot(self.scale * self.inflation * std, constant + self.scale * means - values)

    def deviation_of(self, question: int) -> Spectrum:
        """How one question differs from the mean over all, as the Gaussian process of the answers has it.

        Raises:
            InputError: a question that there is not, or a stack of values of all questions.
        """
        own = self._posterior().deviation_of(question)
        predict = own.predictor
        assert predict is not None
        return replace(
            own,
            coefficients=self.scale * own.coefficients,
            predictor=lambda masks: self.scale * predict(masks),
        )

    def question_effects(self) -> Float64[np.ndarray, "n e"]:
        """What each part is worth to each question, (n, e); see `gp.questions.effects`.

        Raises:
            InputError: a stack of values of all questions.
        """
        return self.scale * effects(self._posterior())

    def index_values(
        self, words: UInt64[np.ndarray, "k w"], functional: IndexFunctional
    ) -> Float64[np.ndarray, " k"]:
        """The interaction index of the predictions, of packed sets (k, w); float64 (k,).

        It is exact up to 17 players, and beyond for all members but warped Gaussian processes. Theirs is
        drawn until its error is a twentieth of the reported deviation (see `stack.bent`).
        """
        if self.table is not None:
            return table_index_values(self.shift + self.scale * self.table, words, functional)
        rest = self.blend.mean * (1.0 - float(self.blend.weights.sum()))
        level = (self.shift + self.scale * rest) * functional.fourier(0, 0)
        out = np.where(words.any(axis=1), 0.0, level)
        tolerance = self._tolerance(words, functional)
        for member, weight in zip(self.members, self.blend.weights, strict=True):
            if weight > 0:
                out += self.scale * weight * member.index_values(words, functional, tolerance)[0]
        return out

    def index_std(
        self,
        words: UInt64[np.ndarray, "k w"],
        functional: IndexFunctional,
        beside: Bool[np.ndarray, "b n"] | None = None,
    ) -> Float64[np.ndarray, " k"]:
        """Standard deviation of the game's index, given that the evaluated masks' values are known.

        That of the Gaussian process, times ``inflation``; see `WalshPosterior.index_std`.

        Raises:
            InputError: none of the members is a `Process` on values.
        """
        return self.scale * self.inflation * self._posterior().index_std(words, functional, beside)

    def _tolerance(
        self, words: UInt64[np.ndarray, "k w"], functional: IndexFunctional
    ) -> Float64[np.ndarray, " k"] | None:
        """A twentieth of the deviations in the units of the members; None for a rough index."""
        if functional.most_degree is not None:
            return None
        out = np.zeros(len(words))
        for rows, _ in sets_by_size(words):
            some = rows[:: max(1, len(rows) // _LOOKS)]
            _, std = self._posterior().moments(words[some], functional.fourier)
            out[rows] = _PRECISION * self.inflation * np.sqrt(np.mean(std**2))
        return out

    def _posterior(self) -> WalshPosterior:
        for member in self.members:
            if member.posterior is not None:
                return member.posterior
        raise InputError("none of the stack's members gives standard deviations; add a Process")


def _superset_sums(
    table: Float64[np.ndarray, " N"],
    words: UInt64[np.ndarray, "k 1"],
    weight: Callable[[int, int], float],
) -> Float64[np.ndarray, " k"]:
    """sum_{S ⊇ T} weight(|S|, |T|) F(S) of a function known on all coalitions."""
    coefficients = walsh_hadamard(table) / len(table)
    sets = np.arange(len(table), dtype=np.uint64)
    sizes = np.bitwise_count(sets)
    out = np.empty(len(words))
    for k, word in enumerate(words[:, 0]):
        inside = np.flatnonzero((sets & word) == word)
        size = int(np.bitwise_count(word))
        weights = np.array([weight(s, size) for s in range(int(sizes[-1]) + 1)])
        out[k] = weights[sizes[inside]] @ coefficients[inside]
    return out
