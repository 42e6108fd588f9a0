"""The search for good sets: ablate sets of high expected value, correct the surrogate, search again."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.core.errors import InputError, NonFiniteScoreError
from spex_mech.core.masks import mask_keys, unique, unpack
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.gp.likelihood import Prior
from spex_mech.pruning.asked_once import AskedOnce
from spex_mech.pruning.corrected import Corrected, correct, learn_errors
from spex_mech.pruning.moves import (
    AllowedSets,
    climb,
    neighbours,
    random_sets,
    resized,
)
from spex_mech.pruning.nearby import SetFunction, SpectrumTerms

_ROUND = 8  # ablations between two corrections
_LEADERS = 4
_NEAR = 6  # local optima whose neighbours are candidates
_RANKED = 32  # neighbours of each that the full model ranks
_FEWEST = 6  # ablations before errors are learnt
_GROWTH = (
    1.5  # the kernel of the errors is learnt anew whenever the ablations have grown by this factor
)
_ELSEWHERE = 256  # random sets to choose from where climbing finds no new set
_BOLDNESS = (
    1.0  # standard deviations added to expected values, so that uncertain sets are tried as well
)


class Evaluated(Protocol):
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


class SearchState:
    """All ablations of a search, of sets of any size, and the surrogate that they correct.

    Equal masks are ablated once, and masks of ``known`` never.

    Attributes:
        masks: bool (m, n), the masks ablated by this search, in order.
        values: float64 (m,), their values.
    """

    def __init__(
        self,
        game: SetFunction,
        spectrum: Spectrum,
        known: Evaluated | None = None,
        claim: str | None = None,
    ) -> None:
        self._game: Any = game
        self._claim = claim
        if claim is not None and not isinstance(game, ScoresExamples):
            raise InputError(
                f"claim={claim!r} needs the scores of single questions, and this game has values only; "
                "give a TaskGame, or leave claim out"
            )
        self._examples: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}
        self._full: Corrected = Corrected(AskedOnce(spectrum))
        # A decoder's full model can take longer for one swap than its terms for thousands of swaps.
        self._quick: Corrected = Corrected(SpectrumTerms(spectrum))
        self.masks = np.zeros((0, spectrum.n), dtype=bool)
        self.values = np.zeros(0)
        self._prior: Prior | None = None
        self._learnt = 0
        self._seen: dict[bytes, float] = {}
        self._all_masks, self._all_values = self.masks, self.values
        if known is not None:
            scores = getattr(known, "scores", None)
            if claim is not None and scores is not None:
                self._keep_examples(known.masks, scores)
            self._add(known.masks, np.asarray(known.values, dtype=np.float64))

    @property
    def spent(self) -> int:
        """Number of ablations so far."""
        return len(self.masks)

    @property
    def count(self) -> int:
        """Number of distinct masks with a measured value, ablated or known before."""
        return len(self._seen)

    @property
    def quick(self) -> Corrected:
        """The spectrum's own terms, corrected."""
        return self._quick

    @property
    def full(self) -> Corrected:
        """The spectrum with its predictor, corrected."""
        return self._full

    def is_new(self, masks: Bool[np.ndarray, "m n"]) -> Bool[np.ndarray, " m"]:
        """Whether each mask has no measured value yet."""
        return np.array([key not in self._seen for key in mask_keys(masks)], dtype=bool)

    def ablate(self, masks: Bool[np.ndarray, "m n"]) -> None:
        """Ablate masks that have no measured value yet, and correct the surrogate.

        Raises:
            InputError: the game's values are not one per mask.
            NonFiniteScoreError: a value that is infinite or not a number.
        """
        new = masks[self.is_new(masks)]
        new = new[unique(new)[0]]
        if not len(new):
            return
        values = self._values_of(new)
        if values.shape != (len(new),):
            raise InputError(
                f"the game answered shape {values.shape} for {len(new)} masks, expected one value each"
            )
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise NonFiniteScoreError(
                f"the game's value of a mask of {int(new[row].sum())} players is {values[row]}; every set "
                "needs a finite value"
            )
        self._add(new, values)
        self.masks = np.concatenate([self.masks, new])
        self.values = np.concatenate([self.values, values])
        if len(self.masks) < _FEWEST:
            return
        if self._prior is None or len(self.masks) >= _GROWTH * self._learnt:
            self._prior = learn_errors(self._full.surrogate, self.masks, self.values)
            self._learnt = len(self.masks)
        self._full = correct(self._full.surrogate, self.masks, self.values, self._prior)
        self._quick = correct(self._quick.surrogate, self.masks, self.values, self._prior)

    def best(
        self, allowed: AllowedSets, count: int = 1
    ) -> tuple[Bool[np.ndarray, "c n"], Float64[np.ndarray, " c"]]:
        """Up to ``count`` allowed sets of highest measured value, best first, with their values."""
        inside = np.flatnonzero(allowed.allows(self._all_masks))
        rows = inside[np.argsort(-self._all_values[inside], kind="stable")[:count]]
        return self._all_masks[rows], self._all_values[rows]

    def best_by_claim(self, allowed: AllowedSets) -> tuple[Bool[np.ndarray, " n"], float] | None:
        """The best in the claim's metric of the allowed sets within one standard error of the best value.

        The standard error is that of the difference, paired over the examples. The result is None without
        a claim, or without an allowed set whose scores are known.

        Returns:
            The set, and its value in the game's own metric.
        """
        inside = [
            key for key in mask_keys(self.best(allowed, self.count)[0]) if key in self._examples
        ]
        if not inside:
            return None
        table = np.stack([self._examples[key][0] for key in inside])
        gap = table[0] - table  # the first is the best
        noise = gap.std(axis=1, ddof=1) / np.sqrt(table.shape[1]) if table.shape[1] > 1 else 0.0
        near = np.flatnonzero(gap.mean(axis=1) <= noise + 1e-12)
        claims = [float(self._examples[inside[i]][1].mean()) for i in near]
        key = inside[near[int(np.argmax(claims))]]
        words = np.frombuffer(key, dtype=np.uint64)[None]
        return unpack(words, allowed.n)[0], self._seen[key]

    def _values_of(self, masks: np.ndarray) -> np.ndarray:
        if self._claim is None:
            return np.asarray(self._game(masks), dtype=np.float64)
        return self._keep_examples(masks, self._game.scores(masks)).mean(axis=1)

    def _keep_examples(self, masks: np.ndarray, scores: np.ndarray) -> np.ndarray:
        table = self._game.per_example(scores)
        claims = self._game.per_example(scores, metric=self._claim)
        self._examples.update(zip(mask_keys(masks), zip(table, claims, strict=True), strict=True))
        return table

    def _add(self, masks: np.ndarray, values: np.ndarray) -> None:
        first, _ = unique(masks)
        self._seen.update(zip(mask_keys(masks[first]), values[first].tolist(), strict=True))
        self._all_masks = np.concatenate([self._all_masks, masks[first]])
        self._all_values = np.concatenate([self._all_values, values[first]])


def search_sets(
    state: SearchState,
    allowed: AllowedSets,
    ablations: int,
    *,
    starts: Bool[np.ndarray, "s n"],
    rng: np.random.Generator,
) -> None:
    """Spend ablations on allowed sets, in rounds of 8.

    A round climbs on the corrected surrogate from the best sets so far, from ``starts`` and from random
    sets. It then ablates the local optima and neighbours whose expected value plus one standard deviation
    is highest, and corrects the surrogate.

    Args:
        state: all ablations so far; the new ones are added to it.
        allowed: the sets allowed.
        ablations: how many to spend; fewer are spent if no new set is left.
        starts: bool (s, n), allowed sets to climb from in the first round.
        rng: draws the random sets, also those that are ablated where climbing finds no new set.
    """
    end = state.spent + ablations
    while state.spent < end:
        leaders, _ = state.best(allowed, _LEADERS)
        pool = candidates(
            state,
            allowed,
            np.concatenate([leaders, starts, random_sets(allowed, _LEADERS, rng)]),
            boldness=_BOLDNESS,
        )
        pool = pool[state.is_new(pool)]
        if not len(pool):  # all climbs end where everything near has been ablated
            pool = random_sets(allowed, _ELSEWHERE, rng)
            pool = pool[state.is_new(pool)]
            pool = pool[unique(pool)[0]]
            pool = pool[np.argsort(-state.full.optimistic(_BOLDNESS)(pool), kind="stable")]
        if not len(pool):
            return
        state.ablate(pool[: min(_ROUND, end - state.spent)])
        starts = starts[:0]


def candidates(
    state: SearchState, allowed: AllowedSets, starts: Bool[np.ndarray, "s n"], *, boldness: float
) -> Bool[np.ndarray, "c n"]:
    """Local optima of the corrected terms, and their neighbours, sorted by the corrected full model.

    Args:
        state: holds the corrected surrogates.
        allowed: the sets allowed.
        starts: bool (s, n), sets to climb from; those that are not allowed are left out.
        boldness: standard deviations that are added to expected values.

    Returns:
        Distinct allowed sets (c, n), best first: the optima, and up to 32 neighbours of each of the best
        six.
    """
    starts = starts[allowed.allows(starts)]
    if not len(starts):
        return starts
    quick, full = state.quick.optimistic(boldness), state.full.optimistic(boldness)
    optima = np.stack([climb(quick, start, allowed) for start in starts[unique(starts)[0]]])
    optima = optima[unique(optima)[0]]
    optima = optima[np.argsort(-full(optima), kind="stable")]
    pool = np.concatenate([optima, *(_best_near(m, allowed, quick) for m in optima[:_NEAR])])
    pool = pool[unique(pool)[0]]
    return pool[np.argsort(-full(pool), kind="stable")]


def resize_sets(
    state: SearchState, allowed: AllowedSets, sets: Bool[np.ndarray, "s n"]
) -> Bool[np.ndarray, "c n"]:
    """Change sets (s, n) into allowed ones by the corrected terms; fewer where that fails. See `resized`."""
    masks = [resized(state.quick, mask, allowed) for mask in sets]
    return np.array([mask for mask in masks if mask is not None], dtype=bool).reshape(-1, allowed.n)


def _best_near(
    mask: Bool[np.ndarray, " n"], allowed: AllowedSets, quick: SetFunction
) -> Bool[np.ndarray, "k n"]:
    """The neighbours that the corrected terms value most."""
    sets, values = neighbours(mask, allowed, quick)
    return sets[np.argsort(-values, kind="stable")[:_RANKED]]
