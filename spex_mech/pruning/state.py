"""What a search has ablated so far, and the surrogate that this corrects."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.core.errors import InputError, NonFiniteScoreError
from spex_mech.core.masks import mask_keys, unique, unpack
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.gp.likelihood import Prior
from spex_mech.evaluation.evaluated import Run, rows_of
from spex_mech.evaluation.questions import ALL
from spex_mech.pruning.asked_once import AskedOnce
from spex_mech.pruning.corrected import Corrected, correct, learn_errors
from spex_mech.pruning.measured import MeasuredMasks, ScoresExamples
from spex_mech.pruning.moves import AllowedSets
from spex_mech.pruning.nearby import SetFunction, SpectrumTerms
from spex_mech.pruning.race import racing_of

_ROUND = 8  # ablations between two corrections
_RACERS = 8  # candidates of one race
_FEWEST = 6  # ablations before errors are learnt
_GROWTH = (
    1.5  # the kernel of the errors is learnt anew whenever the ablations have grown by this factor
)
_SEED = 5_000_011  # added to the seed, so that questions and random sets are drawn independently


class SearchState:
    """All ablations of a search, of sets of any size, and the surrogate that they correct.

    Equal masks are ablated once, and masks of ``known`` never. With ``questions="auto"`` and a game that can
    be asked some of its questions, sets race: those that lose are asked a part of the questions, and correct
    the surrogate by an estimate, which counts for as much as the part.

    Args:
        game: the value function.
        spectrum: the surrogate.
        known: masks with their values, or a `Run`. Of masks that were asked some questions, the answers are
            not asked again.
        claim: another metric; see `best_by_claim`.
        questions: ``all`` or ``auto``.
        seed: seed of the order of questions in races.

    Attributes:
        masks: bool (m, n), the masks tried by this search, in order.
        values: float64 (m,), their values, or estimates of those.
        counts: float64 (m,), the part of all questions that each was asked.
        questions: rows of one mask: the number of questions, or 1 where masks are asked all at once.

    Raises:
        InputError: other ``questions``, or a claim for a game without scores of single questions.
    """

    def __init__(
        self,
        game: SetFunction,
        spectrum: Spectrum,
        known: MeasuredMasks | None = None,
        claim: str | None = None,
        *,
        questions: str = ALL,
        seed: int = 0,
    ) -> None:
        self._game: Any = game
        self._racing = racing_of(game, questions)
        self._rng = np.random.default_rng(seed + _SEED)
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
        self.counts = np.zeros(0)
        self.questions = 1 if self._racing is None else self._racing.questions
        self._prior: Prior | None = None
        self._learnt = 0
        self._seen: dict[bytes, float] = {}
        self._lost: set[bytes] = set()
        self._all_masks, self._all_values = self.masks, self.values
        if known is not None:
            self._take(known)

    @property
    def rows(self) -> int:
        """Rows spent so far; a row is a question under a mask, or a mask that is asked all at once."""
        return len(self.masks) if self._racing is None else self._racing.memory.rows

    @property
    def spent(self) -> int:
        """Ablations so far: the rows in whole masks, rounded up."""
        return -(-self.rows // self.questions)

    @property
    def count(self) -> int:
        """Number of distinct masks with a measured value, ablated or known before."""
        return len(self._seen)

    @property
    def races(self) -> bool:
        """Whether sets race."""
        return self._racing is not None

    @property
    def quick(self) -> Corrected:
        """The spectrum's own terms, corrected."""
        return self._quick

    @property
    def full(self) -> Corrected:
        """The spectrum with its predictor, corrected."""
        return self._full

    def is_new(self, masks: Bool[np.ndarray, "m n"]) -> Bool[np.ndarray, " m"]:
        """Whether each mask has no measured value yet, and has lost no race."""
        old = self._seen.keys() | self._lost if self._lost else self._seen
        return np.array([key not in old for key in mask_keys(masks)], dtype=bool)

    def try_sets(
        self,
        masks: Bool[np.ndarray, "m n"],
        allowed: AllowedSets,
        rows: int,
        *,
        guide: bool = False,
    ) -> None:
        """Ablate the first 8 of some new sets, and correct the surrogate.

        In a race they are compared with the best allowed set so far whose answers are known. Those that stay
        in it to the end get a measured value.

        Args:
            masks: bool (m, n), distinct and new, best first.
            allowed: the sets allowed.
            rows: how many may be spent, one mask's at least.
            guide: the sets only lead to others, so that none needs a measured value: a race ends after two
                stages.
        """
        if self._racing is None:
            self.ablate(masks[: min(_ROUND, rows)])
            return
        every = np.arange(self.questions)
        rivals = self.best(allowed)[0]
        if len(rivals) and self._racing.memory.lacks(rivals, every[None]).any():
            rivals = rivals[:0]
        racers = np.concatenate([rivals, masks[:_RACERS]])
        race = self._racing.race(
            racers,
            rng=self._rng,
            rows=rows,
            champion=len(rivals) > 0,
            finish=not guide,
            most=self._racing.planned if guide else None,
        )
        asked = race.asked.copy()
        asked[: len(rivals)] = 0
        whole, part = asked == self.questions, (asked > 0) & (asked < self.questions)
        if self._claim is not None and whole.any():
            questions = np.tile(every, (int(whole.sum()), 1))
            scores = self._racing.memory.scores(racers[whole], questions)
            self._keep_examples(racers[whole], scores)
        self._add(racers[whole], race.values[whole])
        self._lost.update(mask_keys(racers[part]))
        tried = whole | part
        self._correct(racers[tried], race.values[tried], asked[tried] / self.questions)

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
        self._correct(new, values, np.ones(len(new)))

    def best(
        self, allowed: AllowedSets, count: int = 1
    ) -> tuple[Bool[np.ndarray, "c n"], Float64[np.ndarray, " c"]]:
        """Up to ``count`` allowed sets of highest measured value, best first, with their values."""
        return _highest(self._all_masks, self._all_values, allowed, count)

    def leaders(
        self, allowed: AllowedSets, count: int
    ) -> tuple[Bool[np.ndarray, "c n"], Float64[np.ndarray, " c"]]:
        """What `best` gives, with the estimates of sets that were not asked all questions."""
        part = self.counts < 1
        masks = np.concatenate([self._all_masks, self.masks[part]])
        values = np.concatenate([self._all_values, self.values[part]])
        return _highest(masks, values, allowed, count)

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

    def _take(self, known: MeasuredMasks) -> None:
        """Take what is known before the search."""
        if self._racing is not None and isinstance(known, Run):
            for rows in rows_of(known):
                every = np.tile(np.arange(self.questions), (len(rows), 1))
                asked = every if rows.questions is None else rows.questions
                if rows.scores is not None:
                    self._racing.memory.take(rows.masks, asked, rows.scores)
        if isinstance(known, Run) and known.answers is not None:
            return  # its values are estimates
        scores = getattr(known, "scores", None)
        if self._claim is not None and scores is not None:
            self._keep_examples(known.masks, scores)
        self._add(known.masks, np.asarray(known.values, dtype=np.float64))

    def _correct(self, masks: np.ndarray, values: np.ndarray, counts: np.ndarray) -> None:
        self.masks = np.concatenate([self.masks, masks])
        self.values = np.concatenate([self.values, values])
        self.counts = np.concatenate([self.counts, counts])
        if len(self.masks) < _FEWEST:
            return
        tried = self.masks, self.values, self.counts
        if self._prior is None or len(self.masks) >= _GROWTH * self._learnt:
            self._prior = learn_errors(self._full.surrogate, *tried)
            self._learnt = len(self.masks)
        self._full = correct(self._full.surrogate, *tried, self._prior)
        self._quick = correct(self._quick.surrogate, *tried, self._prior)

    def _add(self, masks: np.ndarray, values: np.ndarray) -> None:
        first, _ = unique(masks)
        self._seen.update(zip(mask_keys(masks[first]), values[first].tolist(), strict=True))
        self._all_masks = np.concatenate([self._all_masks, masks[first]])
        self._all_values = np.concatenate([self._all_values, values[first]])


def _highest(
    masks: np.ndarray, values: np.ndarray, allowed: AllowedSets, count: int
) -> tuple[Bool[np.ndarray, "c n"], Float64[np.ndarray, " c"]]:
    inside = np.flatnonzero(allowed.allows(masks))
    rows = inside[np.argsort(-values[inside], kind="stable")[:count]]
    return masks[rows], values[rows]
