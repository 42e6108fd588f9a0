"""Pairs of a mask and a question: which are new, and scores that are never asked for twice."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Int64

from spex_mech.core.answers import Answers
from spex_mech.core.games import AsksQuestions
from spex_mech.core.masks import mask_keys
from spex_mech.designs import MaskDesign
from spex_mech.designs.asked import asked_questions
from spex_mech.evaluation.evaluated import Run


class PairSet:
    """A set of pairs of a mask and a question.

    Args:
        questions: number of all questions, e.
    """

    def __init__(self, questions: int) -> None:
        self._count = questions
        self._has: dict[bytes, Bool[np.ndarray, " e"]] = {}

    def new(
        self, masks: Bool[np.ndarray, "m n"], questions: Int64[np.ndarray, "m q"]
    ) -> Bool[np.ndarray, "m q"]:
        """Which pairs are not in the set; of equal ones the first is new, the others are not."""
        found = np.ones(questions.shape, dtype=bool)
        within: dict[bytes, Bool[np.ndarray, " e"]] = {}
        for row, key in enumerate(mask_keys(masks)):
            has = within.get(key)
            if has is None:
                before = self._has.get(key)
                has = np.zeros(self._count, dtype=bool) if before is None else before.copy()
                within[key] = has
            found[row] = ~has[questions[row]]
            has[questions[row]] = True
        return found

    def add(self, masks: Bool[np.ndarray, "m n"], questions: Int64[np.ndarray, "m q"]) -> None:
        """Put pairs into the set."""
        for row, key in enumerate(mask_keys(masks)):
            has = self._has.setdefault(key, np.zeros(self._count, dtype=bool))
            has[questions[row]] = True


class AnswerMemory:
    """Scores of pairs of a mask and a question, each evaluated once for as long as this lives.

    Args:
        game: what is asked.

    Attributes:
        rows: how many pairs were evaluated.
    """

    def __init__(self, game: AsksQuestions) -> None:
        self._game, self.rows = game, 0
        self._pairs = PairSet(len(game.question_ids))
        self._scores: dict[bytes, Float32[np.ndarray, "e ..."]] = {}

    def lacks(
        self, masks: Bool[np.ndarray, "m n"], questions: Int64[np.ndarray, "m q"]
    ) -> Bool[np.ndarray, "m q"]:
        """Which pairs would have to be evaluated."""
        return self._pairs.new(masks, questions)

    def take(
        self,
        masks: Bool[np.ndarray, "m n"],
        questions: Int64[np.ndarray, "m q"],
        scores: Float32[np.ndarray, "m q ..."],
    ) -> None:
        """Remember scores that are known from elsewhere."""
        shape = (len(self._game.question_ids), *scores.shape[2:])
        for key, asked, row in zip(mask_keys(masks), questions, scores, strict=True):
            if key not in self._scores:
                self._scores[key] = np.zeros(shape, dtype=np.float32)
            self._scores[key][asked] = row
        self._pairs.add(masks, questions)

    def scores(
        self, masks: Bool[np.ndarray, "m n"], questions: Int64[np.ndarray, "m q"]
    ) -> Float32[np.ndarray, "m q ..."]:
        """Scores of pairs; those that are not known yet are evaluated."""
        lacking = self.lacks(masks, questions)
        each = lacking.sum(axis=1)
        for count in np.unique(
            each[each > 0]
        ):  # a game is asked as many questions under every mask
            rows = np.flatnonzero(each == count)
            asked = questions[rows][lacking[rows]].reshape(-1, count)
            self.take(masks[rows], asked, self._game.asked_scores(masks[rows], asked))
        self.rows += int(each.sum())
        if not len(masks):
            return self._game.asked_scores(masks, questions)
        keys = mask_keys(masks)
        return np.stack([self._scores[k][q] for k, q in zip(keys, questions, strict=True)])


def ask_design(game: AsksQuestions, design: MaskDesign, counts: Int64[np.ndarray, " m"]) -> Run:
    """The run of a design whose masks are asked some questions each, without a store.

    The questions are those that `evaluate` asks, drawn by the design's seed.

    Args:
        game: what is asked.
        design: the masks.
        counts: int64 (m,), how many questions each is asked.
    """
    asked = asked_questions(counts, len(game.question_ids), seed=design.seed)
    places = np.cumsum(counts) - counts
    values = np.empty(len(asked))
    scores: np.ndarray | None = None
    for count in np.unique(counts):
        rows = np.flatnonzero(counts == count)
        at = places[rows, None] + np.arange(count)
        found = game.asked_scores(design.masks[rows], asked[at])
        if scores is None:
            scores = np.empty((len(asked), *found.shape[2:]), dtype=np.float32)
        scores[at] = found
        values[at] = game.per_asked(found, asked[at])
    mask = np.repeat(np.arange(len(design)), counts)
    answers = Answers(design.masks, mask, asked, values, len(game.question_ids))
    return Run(design, design.masks, answers.means(), scores, len(design), answers=answers)
