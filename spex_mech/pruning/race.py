"""Races: candidates answer the same few questions first, and only those that may still win are asked more.

All candidates are asked the questions in one random order, first a few, then twice as many, and so on. After
each stage a candidate is dropped when its answers are shown to be lower than those of the candidate that
leads, question by question (a racing algorithm: Maron and Moore 1994; paired, as the F-race of Birattari et
al. 2002). One-sided t tests at the level alpha / (stages * other candidates) keep the chance that a race
drops its truly best candidate to alpha, whoever leads: by Bonferroni's inequality, for differences that are
about normal. Where w > 1 are wanted, a candidate is dropped when it is shown to be worse than each of the w
that lead, at the level alpha / (stages * w * other candidates): one of any w others is truly worse than one
of the best w, which are therefore all kept with chance 1 - alpha.

Two things make the tests sharper. The questions are drawn without replacement from those that count, so that
the variance of a mean of q of e answers is s² (1 - q / e) / q. And few answers say little about s², so that
it is drawn to the mean over all candidates, which has the weight of four answers (Smyth 2004, equation 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from spex_mech.core.errors import InputError, NonFiniteScoreError
from spex_mech.core.games import AsksQuestions
from spex_mech.core.quoting import quoted
from spex_mech.evaluation.asked import AnswerMemory
from spex_mech.evaluation.questions import ALL, AUTO
from spex_mech.evaluation.wrappers import asking

ERRORS = 0.2  # chance that a race drops its best candidate
_FIRST = 4  # questions of the first stage
_SHARED = 4.0  # degrees of freedom of the variance that candidates have in common


@dataclass(frozen=True, eq=False)
class Race:
    """The result of a race.

    Attributes:
        values: float64 (c,), estimates of each candidate's mean over all questions: exact for a candidate
            that was asked all. For others it is the best candidate's mean plus the mean difference on the
            questions that were asked.
        asked: int64 (c,), how many questions each was asked.
        alive: bool (c,), the candidates that were not dropped.
    """

    values: Float64[np.ndarray, " c"]
    asked: Int64[np.ndarray, " c"]
    alive: Bool[np.ndarray, " c"]


class Racing:
    """Races of masks of one game; a question is asked once under a mask, in all races together.

    Args:
        game: what is asked.
        errors: the chance that one race drops the best of its candidates, above 0 and below 1.

    Attributes:
        memory: what has been asked.
        questions: number of all questions, e.
        first: questions of the first stage: 4, or as many as cost what a mask costs beside its questions, so
            that a mask that is dear to begin with is not begun for little.

    Raises:
        InputError: ``errors`` out of range.
    """

    def __init__(self, game: AsksQuestions, *, errors: float = ERRORS) -> None:
        if not 0 < errors < 1:
            raise InputError(f"errors is {errors}, expected a chance between 0 and 1")
        self._game, self._errors = game, errors
        self.memory = AnswerMemory(game)
        self.questions = len(game.question_ids)
        mask_cost, question_cost = game.asking_cost()
        least = int(np.ceil(mask_cost / question_cost)) if question_cost else 0
        self.first = min(max(_FIRST, least), self.questions)

    @property
    def planned(self) -> int:
        """Rows to plan for each candidate: those of the first two stages."""
        return min(2 * self.first, self.questions)

    def answers(
        self, masks: Bool[np.ndarray, "m n"], questions: Int64[np.ndarray, " q"]
    ) -> Float64[np.ndarray, "m q"]:
        """The values of masks on the same questions; those known are not asked again.

        Raises:
            NonFiniteScoreError: a value that is infinite or not a number.
        """
        asked = np.tile(questions, (len(masks), 1))
        values = self._game.per_asked(self.memory.scores(masks, asked), asked)
        if not np.isfinite(values).all():
            row, column = np.argwhere(~np.isfinite(values))[0]
            raise NonFiniteScoreError(
                f"question {self._game.question_ids[questions[column]]!r} has the value "
                f"{values[row, column]} under a mask of {int(masks[row].sum())} players; every answer has "
                "to be finite"
            )
        return values

    def race(
        self,
        masks: Bool[np.ndarray, "c n"],
        *,
        rng: np.random.Generator,
        rows: int | None = None,
        champion: bool = False,
        winners: int = 1,
        finish: bool = True,
        most: int | None = None,
    ) -> Race:
        """Race candidates; see `Race`.

        Args:
            masks: bool (c, n), distinct candidates, those first that are to be preferred.
            champion: the first candidate is the best so far, which the others have to beat.
            rng: draws the order of the questions.
            rows: how many rows may be spent; None for as many as it takes. Before a stage that would take
                more, with what the winners need for the rest, candidates are dropped from the lowest mean
                upwards, or, before the first stage, from the last.
            winners: how many candidates are wanted.
            finish: ask all that are left all questions. Without it the race ends as soon as no more than
                ``winners`` are left.
            most: how many questions a candidate may be asked, where none has to finish; None for all.
        """
        most = self.questions if most is None else most
        order = rng.permutation(self.questions)
        table = np.full((len(masks), self.questions), np.nan)
        asked = np.zeros(len(masks), dtype=np.int64)
        ranked = np.arange(len(masks))  # those still in the race, best first
        end = None if rows is None else self.memory.rows + rows
        done, stage = 0, self.first
        while done < most:
            fresh = order[done:stage]
            if end is not None:
                rest = winners * (self.questions - stage) if finish else 0
                ranked = self._affordable(masks, ranked, fresh, end - self.memory.rows - rest)
            if not len(ranked):
                break
            table[ranked, done:stage] = self.answers(masks[ranked], fresh)
            asked[ranked] = done = stage
            means = table[ranked, :done].mean(axis=1)
            ranked = ranked[np.argsort(-means, kind="stable")]
            if done < self.questions:
                stays = self._may_win(table[ranked, :done], winners, len(masks), champion)
                if champion:
                    stays &= self._may_beat(table[0, :done], table[ranked, :done])
                ranked = ranked[stays]
            if len(ranked) <= winners and not finish:
                break
            stage = self.questions if len(ranked) <= winners else min(2 * done, self.questions)
        alive = np.zeros(len(masks), dtype=bool)
        alive[ranked] = True
        return Race(_estimates(table, asked), asked, alive)

    def _affordable(
        self,
        masks: Bool[np.ndarray, "c n"],
        ranked: Int64[np.ndarray, " r"],
        questions: Int64[np.ndarray, " q"],
        rows: int,
    ) -> Int64[np.ndarray, " k"]:
        """The first of some candidates, as many as can be asked these questions for so many rows."""
        asked = np.tile(questions, (len(ranked), 1))
        cost = np.cumsum(self.memory.lacks(masks[ranked], asked).sum(axis=1))
        return ranked[: int(np.searchsorted(cost, rows, side="right"))]

    def _may_win(
        self,
        table: Float64[np.ndarray, "r q"],
        winners: int,
        candidates: int,
        champion: bool,
    ) -> Bool[np.ndarray, " r"]:
        """Which candidates, best first, are not shown to be worse than each of the first ``winners``."""
        stays = np.zeros(len(table), dtype=bool)
        stays[:winners] = True
        level = self._level(champion) / (winners * max(candidates - winners, 1))
        for leader in table[:winners]:
            stays[winners:] |= ~self._worse(table[winners:], leader, level)
        return stays

    def _may_beat(
        self, champion: Float64[np.ndarray, " q"], table: Float64[np.ndarray, "r q"]
    ) -> Bool[np.ndarray, " r"]:
        """Which candidates are not shown to be worse than the champion."""
        return ~self._worse(table, champion, self._level(True))

    def _level(self, champion: bool) -> float:
        """The errors that each stage may make against the leaders; half of it where there is a champion."""
        stages = int(np.ceil(np.log2(self.questions / self.first)))
        return self._errors / stages / (2.0 if champion else 1.0)

    def _worse(
        self,
        table: Float64[np.ndarray, "r q"],
        leader: Float64[np.ndarray, " q"],
        level: float,
    ) -> Bool[np.ndarray, " r"]:
        """Which candidates are shown to be worse than a leader, at a one-sided level."""
        from scipy.special import stdtrit

        count = len(leader)
        gaps = leader - table
        if not len(gaps) or count < 2:
            return np.zeros(len(gaps), dtype=bool)
        own = gaps.var(axis=1, ddof=1)
        others = own[np.ptp(gaps, axis=1) > 0] if np.ptp(gaps, axis=1).any() else own[:0]
        if not len(others):  # differences that never vary do not say how much they could
            return np.zeros(len(gaps), dtype=bool)
        variance = ((count - 1) * own + _SHARED * others.mean()) / (count - 1 + _SHARED)
        finite = 1.0 - count / self.questions
        critical = stdtrit(count - 1 + _SHARED, 1.0 - level)
        return gaps.mean(axis=1) > critical * np.sqrt(variance * finite / count)


def racing_of(game: Any, questions: str) -> Racing | None:
    """Races of a game, where ``questions`` is ``auto`` and races can save rows; else None.

    Raises:
        InputError: neither ``all`` nor ``auto``.
    """
    if questions not in (ALL, AUTO):
        raise InputError(
            f"questions is {quoted(questions)}, expected 'all', or 'auto' for candidates that race"
        )
    asked = None if questions == ALL else asking(game)
    if asked is None:
        return None
    racing = Racing(asked)
    return racing if racing.first < racing.questions else None


def _estimates(
    table: Float64[np.ndarray, "c e"], asked: Int64[np.ndarray, " c"]
) -> Float64[np.ndarray, " c"]:
    """Means over all questions from the first answers of each candidate; NaN for one without any."""
    values = np.full(len(table), np.nan)
    furthest = np.flatnonzero(asked == asked.max())
    if not asked[furthest[0]]:
        return values
    means = table[furthest, : asked.max()].mean(axis=1)
    best, base = table[furthest[means.argmax()]], means.max()
    for row in np.flatnonzero(asked):
        values[row] = base + (table[row, : asked[row]] - best[: asked[row]]).mean()
    values[furthest] = means
    return values
