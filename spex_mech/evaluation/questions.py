"""How many questions each mask is asked.

A decoder learns a function of masks from the mean over all questions. That mean is cheap to know roughly: a
mask that is asked q of e questions costs q / e as much, and its answers miss the mean by what differs between
questions. For a given cost the variance of what is learnt is proportional to (V + W / q) (c + q d). Here V is
the variance of values between masks, W that between questions under one mask, c the cost of a mask however
few questions it is asked, and d that of each question. It is smallest at q = sqrt(W / V · c / d), which is
the classical optimum of two-stage sampling (Cochran 1977, equation 10.26).
"""

from __future__ import annotations

from dataclasses import dataclass
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
Questions: TypeAlias = Literal["all", "auto"] | int | npt.ArrayLike
"""``all``, ``auto``, one number, or one number for each mask."""

PILOT = 4  # questions that a pilot asks each of its masks
_PILOT_SHARE, _PILOT_MOST, _PILOT_LEAST = 20, 24, 8  # of the masks
_MOST_MASKS = 512  # that are evaluated together, whatever few questions they are asked
_LARGEST_RATIO = 100.0  # of W to V, where a pilot shows no difference between masks


@dataclass(frozen=True)
class QuestionChoice:
    """How many questions to ask each mask, and why.

    Attributes:
        each: q.
        mask_cost: tokens that a mask costs however few questions it is asked.
        question_cost: tokens that each question costs under a mask, on average.
        ratio: W / V, as a pilot has shown it; None where it did not matter.
    """

    each: int
    mask_cost: float
    question_cost: float
    ratio: float | None

    @property
    def message(self) -> str:
        """One sentence on what was chosen and why."""
        asked = f"each mask is asked {self.each} question{'s' if self.each > 1 else ''}"
        if self.ratio is None:
            return f"{asked}: another mask costs no more than another question under the same mask"
        return (
            f"{asked}: a mask costs {self.mask_cost:.0f} tokens and each question under it "
            f"{self.question_cost:.0f}, and the variance of answers between questions is {self.ratio:.2g} "
            "times that between masks"
        )


def choose_questions(
    cost: tuple[float, float], questions: int, pilot: Answers | None
) -> QuestionChoice:
    """The number of questions per mask from which a decoder learns most for the same cost.

    Args:
        cost: tokens of a mask and of each question under it, see `AskedGame.asking_cost`.
        questions: number of all questions.
        pilot: answers of some masks to several questions each; not needed where a mask costs nothing.
    """
    mask_cost, question_cost = cost
    if not mask_cost or pilot is None:
        return QuestionChoice(1, mask_cost, question_cost, None)
    ratio = variance_ratio(pilot)
    best = int(np.clip(round(np.sqrt(ratio * mask_cost / question_cost)), 1, questions))
    return QuestionChoice(best, mask_cost, question_cost, ratio)


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
    game: Game, design: MaskDesign, questions: Questions
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


def masks_at_once(size: int, questions: int, counts: Int64[np.ndarray, " m"]) -> int:
    """Masks to evaluate together that have as many questions as ``size`` whole masks, at most 512."""
    return int(max(size, min(size * questions // int(counts.min()), _MOST_MASKS)))
