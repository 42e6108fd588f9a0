"""Spending true ablations on a search: ablate what is promising, correct the surrogate, search again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.core.errors import InputError, NonFiniteScoreError
from spex_mech.core.masks import mask_keys, unique, unpack
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.gp.likelihood import Prior
from spex_mech.pruning.corrected import Corrected, correct, learn_errors
from spex_mech.pruning.moves import Budget, climb, neighbours, random_sets, resized

Game = Callable[[Bool[np.ndarray, "m n"]], Float64[np.ndarray, " m"]]

_ROUND = 8  # ablations between two corrections
_LEADERS = 4
_NEAR = 6  # optima whose neighbours are looked at
_FEWEST = 6  # errors that are worth learning from
_GROWTH = 1.5  # ablations, as a multiple, after which the errors are learnt anew
_ELSEWHERE = 256  # random sets to choose from where nothing near is left
# Standard deviations that are added to what is expected, to go where little is known.
_BOLDNESS = 1.0


class Evaluated(Protocol):
    """Masks with their values, such as a `Run`."""

    @property
    def masks(self) -> Bool[np.ndarray, "m n"]:
        """True = present."""
        ...

    @property
    def values(self) -> Float64[np.ndarray, " m"]:
        """The game's values of them."""
        ...


class Evidence:
    """All true ablations of a search, of whatever size, and the surrogate that they correct.

    Equal masks are ablated once; those of ``known`` never.

    Attributes:
        masks: bool (m, n), ablated here, in order.
        values: float64 (m,).
    """

    def __init__(
        self,
        game: Game,
        spectrum: Spectrum,
        known: Evaluated | None = None,
        claim: str | None = None,
    ) -> None:
        self._game: Any = game
        self._claim = claim
        if claim is not None and not hasattr(game, "per_example"):
            raise InputError(
                f"claim={claim!r} needs the scores of single questions, and this game has values only; "
                "give a TaskGame, or leave claim out"
            )
        self._examples: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}
        self._full: Corrected = Corrected(spectrum)
        # A decoder's full model can take longer for one swap than its terms for thousands of swaps.
        self._quick: Corrected = Corrected(replace(spectrum, predictor=None))
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
            self._remember(known.masks, np.asarray(known.values, dtype=np.float64))

    @property
    def spent(self) -> int:
        """True ablations so far."""
        return len(self.masks)

    @property
    def count(self) -> int:
        """Distinct masks with a true value, ablated here or known before."""
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
        """Which masks have no true value yet."""
        return np.array([key not in self._seen for key in mask_keys(masks)], dtype=bool)

    def ask(self, masks: Bool[np.ndarray, "m n"]) -> None:
        """Ablate masks that have no true value yet, and correct the surrogate."""
        new = masks[self.is_new(masks)]
        new = new[unique(new)[0]]
        if not len(new):
            return
        values = self._ablate(new)
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
        self._remember(new, values)
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
        self, budget: Budget, count: int = 1
    ) -> tuple[Bool[np.ndarray, "c n"], Float64[np.ndarray, " c"]]:
        """The sets within a budget of highest true value, best first; fewer where there are fewer."""
        inside = np.flatnonzero(budget.allows(self._all_masks))
        rows = inside[np.argsort(-self._all_values[inside], kind="stable")[:count]]
        return self._all_masks[rows], self._all_values[rows]

    def claimed(self, budget: Budget) -> tuple[Bool[np.ndarray, " n"], float] | None:
        """The set within a budget that is best in the claim's metric, of those that noise cannot tell apart.

        These are the sets whose values, paired over the examples, are at most one standard error below
        the highest. None without a claim, or without such sets.
        """
        inside = [
            key for key in mask_keys(self.best(budget, self.count)[0]) if key in self._examples
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
        return unpack(words, budget.n)[0], self._seen[key]

    def _ablate(self, masks: np.ndarray) -> np.ndarray:
        if self._claim is None:
            return np.asarray(self._game(masks), dtype=np.float64)
        return self._keep_examples(masks, self._game.scores(masks)).mean(axis=1)

    def _keep_examples(self, masks: np.ndarray, scores: np.ndarray) -> np.ndarray:
        table = self._game.per_example(scores)
        claims = self._game.per_example(scores, metric=self._claim)
        self._examples.update(zip(mask_keys(masks), zip(table, claims, strict=True), strict=True))
        return table

    def _remember(self, masks: np.ndarray, values: np.ndarray) -> None:
        first, _ = unique(masks)
        self._seen.update(zip(mask_keys(masks[first]), values[first].tolist(), strict=True))
        self._all_masks = np.concatenate([self._all_masks, masks[first]])
        self._all_values = np.concatenate([self._all_values, values[first]])


def explore(
    evidence: Evidence,
    budget: Budget,
    ablations: int,
    *,
    starts: Bool[np.ndarray, "s n"],
    rng: np.random.Generator,
) -> None:
    """Spend ablations on sets within a budget.

    In rounds of 8: climb on the corrected surrogate from the best sets so far, from ``starts`` and from
    random sets; ablate the optima and neighbours whose expected value plus one standard deviation is
    highest; correct the surrogate.

    Args:
        evidence: what is known, which grows.
        budget: the sets allowed.
        ablations: how many to spend; fewer if nothing new is left.
        starts: bool (s, n), allowed sets to climb from in the first round.
        rng: draws the random sets, also those that are ablated where climbs lead nowhere new.
    """
    end = evidence.spent + ablations
    while evidence.spent < end:
        leaders, _ = evidence.best(budget, _LEADERS)
        pool = candidates(
            evidence,
            budget,
            np.concatenate([leaders, starts, random_sets(budget, _LEADERS, rng)]),
            boldness=_BOLDNESS,
        )
        pool = pool[evidence.is_new(pool)]
        if not len(pool):  # all climbs end where everything near has been ablated
            pool = random_sets(budget, _ELSEWHERE, rng)
            pool = pool[evidence.is_new(pool)]
            pool = pool[unique(pool)[0]]
            pool = pool[np.argsort(-hopes(evidence.full, _BOLDNESS)(pool), kind="stable")]
        if not len(pool):
            return
        evidence.ask(pool[: min(_ROUND, end - evidence.spent)])
        starts = starts[:0]


def candidates(
    evidence: Evidence, budget: Budget, starts: Bool[np.ndarray, "s n"], *, boldness: float
) -> Bool[np.ndarray, "c n"]:
    """Local optima of the corrected terms and their neighbours, by the corrected full model, best first."""
    starts = starts[budget.allows(starts)]
    if not len(starts):
        return starts
    quick, full = hopes(evidence.quick, boldness), hopes(evidence.full, boldness)
    optima = np.stack([climb(quick, start, budget) for start in starts[unique(starts)[0]]])
    optima = optima[unique(optima)[0]]
    optima = optima[np.argsort(-full(optima), kind="stable")]
    near = [neighbours(mask, budget, quick) for mask in optima[:_NEAR]]
    pool = np.concatenate([optima, *near])
    pool = pool[unique(pool)[0]]
    return pool[np.argsort(-full(pool), kind="stable")]


def hopes(surrogate: Corrected, boldness: float) -> Game:
    """Expected values plus ``boldness`` standard deviations."""
    if not boldness:
        return surrogate
    return lambda masks: surrogate(masks) + boldness * surrogate.std(masks)


def carried(
    evidence: Evidence, budget: Budget, sets: Bool[np.ndarray, "s n"]
) -> Bool[np.ndarray, "c n"]:
    """Sets of other sizes brought within a budget on the corrected terms."""
    found = [resized(evidence.quick, mask, budget) for mask in sets]
    return np.array([mask for mask in found if mask is not None], dtype=bool).reshape(-1, budget.n)
