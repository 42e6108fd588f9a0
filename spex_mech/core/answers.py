"""`Answers`: the values of single questions under masks, where not every mask is asked every question."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float64, Int64

from spex_mech.core.errors import InputError


@runtime_checkable
class EvaluatedMasks(Protocol):
    """EvaluatedMasks masks, such as a `Run`."""

    @property
    def masks(self) -> Bool[np.ndarray, "m n"]:
        """True = present."""
        ...

    @property
    def values(self) -> Float64[np.ndarray, " m"]:
        """The value of each mask."""
        ...

    @property
    def answers(self) -> Answers | None:
        """The answers behind the values, where masks were asked some questions each."""
        ...


@dataclass(frozen=True, eq=False)
class Answers:
    """r values, each of one question under one mask.

    Attributes:
        masks: bool (m, n), True = present.
        mask: int64 (r,), the mask of each value.
        question: int64 (r,), the question of each value, from 0 to ``questions`` - 1.
        values: float64 (r,), in units of the metric.
        questions: number of questions, e; what is wanted of a mask is its mean over all of them.

    Raises:
        InputError: arrays that do not fit together, values that are not finite, a mask or question that
            does not exist, a mask without a value, or one that answers a question twice.
    """

    masks: Bool[np.ndarray, "m n"]
    mask: Int64[np.ndarray, " r"]
    question: Int64[np.ndarray, " r"]
    values: Float64[np.ndarray, " r"]
    questions: int

    def __post_init__(self) -> None:
        shapes = {self.mask.shape, self.question.shape, self.values.shape}
        if len(shapes) > 1:
            raise InputError(
                f"mask, question and values have shapes {self.mask.shape}, {self.question.shape} and "
                f"{self.values.shape}, expected one entry for each answer in each"
            )
        if not np.isfinite(self.values).all():
            raise InputError("an answer is not finite; evaluate that mask and question again")
        for name, places, count in (
            ("mask", self.mask, len(self.masks)),
            ("question", self.question, self.questions),
        ):
            if len(places) and not (0 <= places.min() and places.max() < count):
                raise InputError(
                    f"{name} has {places.min()} to {places.max()}, expected 0 to {count - 1}"
                )
        if not np.bincount(self.mask, minlength=len(self.masks)).all():
            raise InputError("a mask has no answer; leave it out of the masks")
        if len(np.unique(self.mask * self.questions + self.question)) < len(self.mask):
            raise InputError(
                "a question is answered twice under one mask; give the mask a second row in masks"
            )

    @classmethod
    def of_asked(
        cls,
        masks: Bool[np.ndarray, "m n"],
        asked: Int64[np.ndarray, "m q"],
        values: Float64[np.ndarray, "m q"],
        questions: int,
    ) -> Answers:
        """The answers of masks that were asked q questions each.

        Args:
            masks: bool (m, n).
            asked: int64 (m, q), the questions of each mask.
            values: float64 (m, q), their values.
            questions: number of all questions.
        """
        mask = np.repeat(np.arange(len(masks)), asked.shape[1])
        return cls(masks, mask, asked.reshape(-1), values.reshape(-1), questions)

    def __len__(self) -> int:
        """Number of values, r."""
        return len(self.values)

    def __repr__(self) -> str:
        return (
            f"Answers({len(self)} values of {self.questions} questions under {len(self.masks)} masks of "
            f"{self.masks.shape[1]} players)"
        )

    @property
    def counts(self) -> Int64[np.ndarray, " m"]:
        """Number of questions that each mask was asked, (m,)."""
        return np.bincount(self.mask, minlength=len(self.masks))

    @property
    def levels(self) -> Float64[np.ndarray, " e"]:
        """The mean value of each question over the masks that it was asked under; NaN for one never asked."""
        asked = np.bincount(self.question, minlength=self.questions)
        total = np.bincount(self.question, weights=self.values, minlength=self.questions)
        with np.errstate(invalid="ignore"):
            return total / asked

    def means(self, levels: Float64[np.ndarray, " e"] | None = None) -> Float64[np.ndarray, " m"]:
        """An estimate of each mask's mean over all questions, (m,).

        It is the mean of the answers minus their questions' levels, plus the mean level: a mask that was
        asked easy questions is not taken for a good one.

        Args:
            levels: float64 (e,), the questions' levels; by default `levels`.
        """
        levels = self.levels if levels is None else levels
        total = np.bincount(
            self.mask, weights=self.values - levels[self.question], minlength=len(self.masks)
        )
        return float(np.nanmean(levels)) + total / self.counts

    def of_masks(self, rows: Int64[np.ndarray, " k"]) -> Answers:
        """The answers under some masks, in the order in which their rows are given."""
        place = np.full(len(self.masks), -1)
        place[rows] = np.arange(len(rows))
        kept = place[self.mask] >= 0
        return replace(
            self,
            masks=self.masks[rows],
            mask=place[self.mask[kept]],
            question=self.question[kept],
            values=self.values[kept],
        )

    def of_questions(self, chosen: Int64[np.ndarray, " k"]) -> Answers:
        """The answers to some questions, numbered as they are given; masks without one are left out.

        Raises:
            InputError: no mask was asked any of them.
        """
        place = np.full(self.questions, -1)
        place[chosen] = np.arange(len(chosen))
        kept = place[self.question] >= 0
        rows, mask = np.unique(self.mask[kept], return_inverse=True)
        if not len(rows):
            raise InputError(f"no mask was asked any of the {len(chosen)} questions; choose others")
        return Answers(
            self.masks[rows],
            mask.reshape(-1),
            place[self.question[kept]],
            self.values[kept],
            len(chosen),
        )
