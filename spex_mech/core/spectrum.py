"""`Spectrum`: a sparse function on coalitions.

One convention for the whole library (the one of the SPEX papers, and of a plain Walsh-Hadamard
transform of the value table): with x in {0, 1}^n, 1 = present,

    f(x) = sum_S F(S) (-1)^{|S ∩ x|},        F(S) = 2^{-n} sum_x f(x) (-1)^{|S ∩ x|}.

So a player that helps on its own has a negative first-order coefficient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float64, Int64, UInt64

from spex_mech.core.errors import InputError
from spex_mech.core.masks import check_masks, unpack
from spex_mech.core.packed import combine, degrees, pack_supports, word_count
from spex_mech.core.posterior import IndexCorrection, KnowsQuestions, Posterior
from spex_mech.core.short_repr import short_repr
from spex_mech.core.term_sums import TermSums

_CHUNK = 1 << 16


@short_repr
@dataclass(frozen=True, eq=False)
class Spectrum:
    """A function f(x) = sum_S F(S) (-1)^{|S ∩ x|} with few terms; call it on masks to evaluate it.

    Build one with `from_supports` or `from_words`, which add up repeated supports. The terms have no
    particular order.

    Attributes:
        words: uint64 (s, w), the supports S as packed sets of players (see `masks.pack`), distinct.
        coefficients: float64 (s,), F(S).
        n: number of players.
        info: what the decoder has to say: its ``method``, a ``message``, the R² to expect.
        predictor: the decoder's full model, masks (m, n) to values (m,), if the terms are only its
            largest ones; then calling the spectrum evaluates it. If it is a `Posterior`, the
            spectrum has standard deviations. `truncate` drops it.
        evidence: what the evaluated masks add to the interaction indices of the predictor (see
            `evidence.Evidence`). `truncate` drops it, too.

    Raises:
        InputError: arrays that do not fit together, or a coefficient that is not finite.
    """

    words: UInt64[np.ndarray, "s w"]
    coefficients: Float64[np.ndarray, " s"]
    n: int
    info: Mapping[str, Any] = field(default_factory=dict)
    predictor: Callable[[Bool[np.ndarray, "m n"]], Float64[np.ndarray, " m"]] | None = field(
        default=None, repr=False, compare=False
    )
    evidence: IndexCorrection | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        words = np.array(self.words, dtype=np.uint64)
        coefficients = np.array(self.coefficients, dtype=np.float64)
        if words.ndim != 2 or words.shape != (len(coefficients), word_count(self.n)):
            raise InputError(
                f"words have shape {words.shape} beside {coefficients.shape} coefficients, "
                f"expected ({len(coefficients)}, {word_count(self.n)}) for {self.n} players"
            )
        if not np.isfinite(coefficients).all():
            raise InputError("a spectrum's coefficients must be finite; one is NaN or infinite")
        words.setflags(write=False)
        coefficients.setflags(write=False)
        object.__setattr__(self, "words", words)
        object.__setattr__(self, "coefficients", coefficients)

    @classmethod
    def from_supports(
        cls,
        supports: Sequence[Iterable[int]],
        coefficients: npt.ArrayLike,
        n: int,
        info: Mapping[str, Any] | None = None,
    ) -> Spectrum:
        """Build from sets of players; ``()`` is the constant. Repeated supports are added up.

        Raises:
            InputError: a player outside 0..n-1, or another number of coefficients than of supports.
        """
        return cls.from_words(pack_supports(supports, n), coefficients, n, info)

    @classmethod
    def from_words(
        cls,
        words: UInt64[np.ndarray, "s w"],
        coefficients: npt.ArrayLike,
        n: int,
        info: Mapping[str, Any] | None = None,
    ) -> Spectrum:
        """Build from packed supports (see `masks.pack`). Repeated supports are added up.

        Raises:
            InputError: another number of coefficients than of supports.
        """
        weights = np.asarray(coefficients, dtype=np.float64)
        if weights.shape != (len(words),):
            raise InputError(
                f"coefficients have shape {weights.shape}, expected one for each of "
                f"{len(words)} supports"
            )
        return cls(*combine(words, weights), n, info or {})

    def question(self, position: int) -> Spectrum:
        """The spectrum of one question, of a spectrum that was decoded from answers to single questions.

        It is this spectrum, which is that of the mean over all questions, and how the question differs from
        that; calling it predicts the question's value.

        Raises:
            InputError: a question that there is not, or a spectrum of values of all questions.
        """
        if not isinstance(self.predictor, KnowsQuestions):
            raise InputError(
                "this spectrum knows nothing of single questions; decode a run whose masks were asked some "
                "questions each: evaluate(..., questions='auto'), then decode(design, run)"
            )
        own = self.predictor.deviation_of(position)
        words = np.concatenate([self.words, own.words])
        coefficients = np.concatenate([self.coefficients, own.coefficients])
        both = Spectrum.from_words(words, coefficients, self.n, {**self.info, "question": position})
        return replace(both, predictor=lambda masks: self(masks) + own(masks))

    def __call__(self, masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, " m"]:
        """Evaluate f on masks: by the ``predictor`` if there is one, else from the terms.

        The terms take 65,536 masks at a time, so memory beyond the answer stays below 8 KiB a player
        and 2 MiB; the answer does not depend on how masks are split into calls.

        Args:
            masks: bool (m, n), True = present.

        Returns:
            float64 (m,).
        """
        masks = check_masks(masks, self.n)
        if self.predictor is not None:
            return self.predictor(masks)
        starts = range(0, len(masks), _CHUNK)
        return np.concatenate(
            [np.zeros(0), *(self._sums(masks[start : start + _CHUNK]) for start in starts)]
        )

    def __len__(self) -> int:
        return len(self.coefficients)

    def __iter__(self) -> Iterator[tuple[tuple[int, ...], float]]:
        return iter(zip(self.supports, self.coefficients.tolist(), strict=True))

    def __getitem__(self, support: Iterable[int]) -> float:
        """The coefficient of a set of players, 0.0 if it is not among the terms."""
        if isinstance(support, (int, np.integer)):
            raise InputError(f"spectrum[{support}] is not a set of players; use ({support},)")
        key = pack_supports([support], self.n)[0].tobytes()
        row = self._rows.get(key)
        return 0.0 if row is None else float(self.coefficients[row])

    @cached_property
    def supports(self) -> list[tuple[int, ...]]:
        """The players of each term, in increasing order; ``()`` is the constant."""
        players, ends = self._players
        flat, stops = players.tolist(), ends.tolist()
        return [tuple(flat[a:b]) for a, b in pairwise(stops)]

    @property
    def degrees(self) -> Int64[np.ndarray, " s"]:
        """Number of players in each term."""
        return degrees(self.words)

    @cached_property
    def std(self) -> Float64[np.ndarray, " s"] | None:
        """Standard deviation of each coefficient, float64 (s,); None where no posterior is known.

        That of the true coefficient about the one that stands here: the root of the posterior's
        variance plus the square of what a truncated readout has left out.
        """
        return self.deviations(self.words, self.coefficients, lambda s, t: float(s == t))

    def deviations(
        self,
        words: UInt64[np.ndarray, "k w"],
        values: Float64[np.ndarray, " k"],
        weight: Callable[[int, int], float],
    ) -> Float64[np.ndarray, " k"] | None:
        """Root mean square of sum_{S ⊇ T} weight(|S|, |T|) F(S) about ``values``, one for each set T.

        Args:
            words: uint64 (k, w), the sets T, packed.
            values: float64 (k,), what is reported for them.
            weight: from the sizes of S and T to a number.

        Returns:
            float64 (k,) under the predictor's posterior; None if it has none.
        """
        if not isinstance(self.predictor, Posterior):
            return None
        return self.predictor.deviations(words, values, weight)

    def predict_std(self, masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, " m"]:
        """Standard deviation of what an evaluation of each mask would give, about ``self(masks)``.

        Args:
            masks: bool (m, n), True = present.

        Returns:
            float64 (m,).

        Raises:
            InputError: a spectrum whose decoder gave no posterior.
        """
        if not isinstance(self.predictor, Posterior):
            method = self.info.get("method", "a table")
            raise InputError(
                f"a spectrum from {method!r} has no posterior, so no standard deviations; decode "
                "with method='walsh_gp' or 'stack'"
            )
        return self.predictor.std(check_masks(masks, self.n))

    @property
    def membership(self) -> Bool[np.ndarray, "s n"]:
        """Whether each player is in each term."""
        return unpack(self.words, self.n)

    def top(self, k: int, *, include_empty: bool = False) -> list[tuple[tuple[int, ...], float]]:
        """The ``k`` terms of largest absolute coefficient, largest first.

        The empty set (the mean of f) is left out unless ``include_empty``. Ties keep their order.
        """
        order = np.argsort(-np.abs(self.coefficients), kind="stable")
        if not include_empty:
            order = order[self.words[order].any(axis=1)]
        best = self._take(order[:k])
        return list(best)

    def truncate(self, k: int) -> Spectrum:
        """The constant, if there is one, and the ``k`` other terms of largest absolute coefficient."""
        order = np.argsort(-np.abs(self.coefficients), kind="stable")
        constant = ~self.words[order].any(axis=1)
        return self._take(np.concatenate([order[constant], order[~constant][:k]]))

    def _take(self, rows: Int64[np.ndarray, " k"]) -> Spectrum:
        words, coefficients = self.words[rows], self.coefficients[rows]
        return replace(self, words=words, coefficients=coefficients, predictor=None, evidence=None)

    @cached_property
    def _rows(self) -> dict[bytes, int]:
        return {word.tobytes(): row for row, word in enumerate(self.words)}

    @cached_property
    def _players(self) -> tuple[Int64[np.ndarray, " d"], Int64[np.ndarray, " s+1"]]:
        """The players of all terms, one term after another, and where each term begins."""
        players = np.nonzero(self.membership)[1]
        return players, np.concatenate([[0], np.cumsum(self.degrees)])

    @cached_property
    def _sums(self) -> TermSums:
        players, ends = self._players
        return TermSums(players, ends, self.coefficients)
