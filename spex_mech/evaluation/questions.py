"""How many questions each mask is asked.

A decoder learns a function of masks from the mean over all questions. That mean is cheap to know roughly: a
mask that is asked q of e questions costs q / e as much, and its answers miss the mean by what differs between
questions. For a given cost the variance of what is learnt is proportional to (V + W / q) (c + q d). Here V is
the variance of values between masks, W that between questions under one mask, c the cost of a mask however
few questions it is asked, and d that of each question. It is smallest at q = sqrt(W / V · c / d), which is
the classical optimum of two-stage sampling (Cochran 1977, equation 10.26).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from jaxtyping import Int64

from spex_mech.core.answers import Answers
from spex_mech.core.errors import InputError
from spex_mech.core.games import AskedGame, Game
from spex_mech.core.quoting import quoted
from spex_mech.designs import MaskDesign

ALL, AUTO = "all", "auto"
QuestionCounts: TypeAlias = Literal["all", "auto"] | int | npt.ArrayLike
"""``all``, ``auto``, one number, or one number for each mask."""

PILOT = 4  # questions that a pilot asks each of its masks
_PILOT_SHARE, _PILOT_MOST, _PILOT_LEAST = 20, 24, 8  # of the masks
_SECOND = (
    5  # every fifth mask is asked a second question, so that noise is measured and not assumed
)
MOST_SPREAD = (
    4000  # masks that a budget is spread over: decoding more takes longer than it is worth
)
_MOST_TOGETHER = 512  # masks that are evaluated together, whatever few questions they are asked
_ANSWERED = 3  # fewest answers to each question in a pilot that W and V are read off
_LARGEST_RATIO = 100.0  # of W to V, where a pilot shows no difference between masks


@dataclass(frozen=True)
class QuestionChoice:
    """How many questions to ask each mask, and why.

    Attributes:
        each: q.
        questions: number of all questions.
        message: one sentence on what was chosen and why.
        pilot: masks of a pilot, which come first in a design and are asked 4 questions each.
        later: pairs of a number of masks and of questions: the masks after so many are asked so many each,
            see `in_rounds`.
    """

    each: int
    questions: int
    message: str
    pilot: int = 0
    later: tuple[tuple[int, int], ...] = ()

    def counts(self, masks: int) -> Int64[np.ndarray, " m"]:
        """How many questions each mask of a design is asked: q, and 2 of every fifth mask where q is 1."""
        counts = np.full(masks, self.each)
        if self._has_seconds:
            counts[::_SECOND] = 2
        counts[: self.pilot] = min(PILOT, self.questions)
        for start, each in self.later:
            counts[start:] = each
        return counts

    def masks(self, rows: int) -> int:
        """The number of masks that so many answers are spread over, those of the pilot included."""
        if self.later:
            return max(int(np.searchsorted(np.cumsum(self.counts(rows)), rows, side="right")), 1)
        per_mask = 1 + 1 / _SECOND if self._has_seconds else self.each
        left = rows - self.pilot * min(PILOT, self.questions)
        return self.pilot + max(int(left / per_mask), 1)

    def check_counts(self, masks: int) -> tuple[int, int]:
        """Masks and questions for each to hold out for the cost of ``masks`` with all questions.

        Each is asked 2 or more, so that the noise of single answers can be taken off their errors.
        """
        each = min(max(2, self.each), self.questions)
        return masks * self.questions // each, each

    def spread(self, rows: int) -> QuestionChoice:
        """The same choice, with more questions where so many rows would take more than 4000 masks."""
        least = -(-rows // MOST_SPREAD)
        if self.each >= least:
            return self
        each = min(least, self.questions)
        message = (
            f"each mask is asked {each} questions, so that {rows:,} answers come from no more than "
            f"{MOST_SPREAD:,} masks"
        )
        return replace(self, each=each, message=message)

    @property
    def _has_seconds(self) -> bool:
        return self.each == 1 and self.questions > 1


def choose_questions(
    cost: tuple[float, float], questions: int, pilot: Answers | None
) -> QuestionChoice:
    """The number of questions per mask from which a decoder learns most for the same cost.

    Args:
        cost: tokens of a mask and of each question under it, see `AskedGame.asking_cost`.
        questions: number of all questions.
        pilot: answers of some masks to several questions each. It does not matter where a mask costs nothing
            beside its questions; elsewhere W is taken for equal to V without one, and with fewer than 3
            answers to each question: one that was asked once is its own level, and leaves nothing.
    """
    mask_cost, question_cost = cost
    if not mask_cost:
        why = "another mask costs no more than another question under the same mask"
        return QuestionChoice(1, questions, f"each mask is asked 1 question: {why}")
    if pilot is not None and len(pilot) < _ANSWERED * questions:
        pilot = None
    ratio = 1.0 if pilot is None else variance_ratio(pilot)
    each = int(np.clip(round(np.sqrt(ratio * mask_cost / question_cost)), 1, questions))
    asked = f"each mask is asked {each} question{'s' if each > 1 else ''}"
    seen = "is taken for" if pilot is None else "was seen to be"
    why = (
        f"a mask costs {mask_cost:.0f} tokens and each question under it {question_cost:.0f}, and the "
        f"variance of answers between questions {seen} {ratio:.2g} times that between masks"
    )
    return QuestionChoice(each, questions, f"{asked}: {why}")


def chosen_number(each: int, questions: int) -> QuestionChoice:
    """The choice of a number of questions that the caller has set."""
    asked = f"each mask is asked {each} of {questions} questions"
    return QuestionChoice(each, questions, f"{asked}, as was set")


def variance_ratio(answers: Answers) -> float:
    """W / V: the variance between questions under one mask over that between masks, both corrected.

    Levels of the questions are subtracted first. With W the mean variance within masks, the variance of the
    masks' means is V + W / q. The result is at most 100.
    """
    levels = answers.levels
    left = answers.values - levels[answers.question]
    counts = answers.counts
    means = np.bincount(answers.mask, weights=left, minlength=len(counts)) / counts
    several = counts > 1
    squares = (left - means[answers.mask]) ** 2
    inside = np.bincount(answers.mask, weights=squares, minlength=len(counts))
    within = float(inside[several].sum() / np.maximum(counts[several] - 1, 1).sum())
    between = float(means.var(ddof=1)) - within * float(np.mean(1.0 / counts))
    return within / max(between, within / _LARGEST_RATIO) if within > 0 else 0.0


def pilot_counts(game: AskedGame, masks: int) -> Int64[np.ndarray, " p"] | None:
    """How many questions to ask each of the first masks of a design, to choose q for the others.

    None where no pilot is needed, because a mask costs nothing beside its questions, or where the design is
    too small for one.
    """
    count = min(masks // _PILOT_SHARE, _PILOT_MOST)
    if not game.asking_cost()[0] or count < _PILOT_LEAST:
        return None
    return np.full(count, min(PILOT, len(game.question_ids)))


def counts_of(
    game: Game, design: MaskDesign, questions: QuestionCounts
) -> Int64[np.ndarray, " m"] | None:
    """How many questions each mask of a design is asked; None for all.

    Raises:
        InputError: neither ``all`` nor a number from 1 to that of the questions for each mask, or a game that
            is asked all of its questions only.
    """
    if isinstance(questions, str):
        if questions == ALL:
            return None
        raise InputError(
            f"questions is {quoted(questions)}, expected 'all', 'auto', or a number of questions for each "
            "mask"
        )
    every = question_count(game)
    counts = np.asarray(questions)
    if not np.issubdtype(counts.dtype, np.integer) or counts.shape not in ((), (len(design),)):
        raise InputError(
            f"questions is {quoted(questions)}, expected 'all', 'auto', a whole number, or a whole number "
            f"for each of the {len(design)} masks"
        )
    if counts.min() < 1 or counts.max() > every:
        wrong = counts.min() if counts.min() < 1 else counts.max()
        raise InputError(
            f"questions is {wrong}, expected 1 to {every}, the number of questions, or 'all'"
        )
    counts = np.broadcast_to(counts.astype(np.int64), (len(design),))
    return None if (counts == every).all() else counts


def question_count(game: Game) -> int:
    """The number of a game's questions.

    Raises:
        InputError: the game is asked all of its questions only.
    """
    if not isinstance(game, AskedGame):
        raise InputError(
            "this game is asked all of its questions: it has none, its metric is no mean over them, or a "
            "mask costs it as much with one as with all; set questions='all'"
        )
    return len(game.question_ids)


def masks_at_once(size: int, questions: int, each: int) -> int:
    """Masks of ``each`` questions to evaluate together: as many questions as ``size`` whole masks have.

    They are at most 512, or ``size`` where that is more.
    """
    return max(size, min(size * questions // each, _MOST_TOGETHER))
