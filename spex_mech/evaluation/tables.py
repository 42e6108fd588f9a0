"""What `evaluate` is asked for, filled in as it comes: values of masks, or answers to some questions."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float32, Int64

from spex_mech.core.errors import InputError
from spex_mech.core.masks import unique
from spex_mech.evaluation.batches import MaskIndex, batches_of
from spex_mech.evaluation.executors.executor import AskedMasks, Batch
from spex_mech.evaluation.questions import masks_at_once
from spex_mech.evaluation.store.shards import Rows


class Table(Protocol):
    """The part of a run that is known."""

    def left(self, size: int) -> list[Batch]:
        """What is still to be evaluated, in batches of the work of at most ``size`` whole masks."""
        ...

    def fill(self, rows: Rows) -> None:
        """Take what is wanted of some evaluated masks."""
        ...


class ValueTable:
    """Values and scores of whole masks.

    Args:
        masks: bool (m, n), the masks of a design.

    Attributes:
        masks: bool (u, n), the distinct ones.
        values: float64 (u,); NaN where they are not known.
        scores: float32 (u, examples, ...); None until some are known.
        place: int64 (m,), the row of each mask of the design among the distinct ones.
    """

    def __init__(self, masks: Bool[np.ndarray, "m n"]) -> None:
        first, self.place = unique(masks)
        self.masks = masks[first]
        self._index = MaskIndex(self.masks)
        self._known = np.zeros(len(self.masks), dtype=bool)
        self.values = np.full(len(self.masks), np.nan)
        self.scores: np.ndarray | None = None

    def left(self, size: int) -> list[Batch]:
        """See `Table`."""
        return batches_of(self.masks, self._known, size)

    def fill(self, rows: Rows) -> None:
        """See `Table`; masks that were asked only some questions do not count, and are asked all.

        An engine adds up a whole mask in another order than single questions, so that its values would depend
        on what was asked before.
        """
        if rows.questions is not None:
            return
        place = self._index.find(rows.masks)
        wanted = np.flatnonzero(place >= 0)
        if not len(wanted):
            return
        place = place[wanted]
        self._known[place] = True
        self.values[place] = rows.values[wanted]
        if rows.scores is not None:
            if self.scores is None:
                shape = (len(self._known), *rows.scores.shape[1:])
                self.scores = np.empty(shape, dtype=np.float32)
            self.scores[place] = rows.scores[wanted]


class AnswerTable:
    """Scores of masks that are asked some questions each.

    Args:
        masks: bool (m, n), the masks of a design.
        counts: int64 (m,), how many questions each is asked.
        questions: int64 (r,), the questions, mask after mask, increasing within a mask.
        every: number of all questions.

    Attributes:
        mask: int64 (r,), the mask of each question.
        questions: see above.
    """

    def __init__(
        self,
        masks: Bool[np.ndarray, "m n"],
        counts: Int64[np.ndarray, " m"],
        questions: Int64[np.ndarray, " r"],
        every: int,
    ) -> None:
        self._masks, self._counts, self.questions = masks, counts, questions
        self._every = every
        self.mask = np.repeat(np.arange(len(masks)), counts)
        pairs = masks[self.mask]
        self._index = MaskIndex(pairs, questions)
        # A pair that several rows of the design ask for belongs to the first of them.
        self._place = self._index.find(pairs, questions)
        self._known = np.zeros(len(questions), dtype=bool)
        self._scores: np.ndarray | None = None

    def left(self, size: int) -> list[Batch]:
        """See `Table`; of a mask of which some answers are known, only the others are asked.

        Masks are cut into batches by the number of questions that the design asks them, whatever is known.
        Inside such a batch, those that lack equally many answers are evaluated together, so that a batch
        does not change when another one has been evaluated.
        """
        own = self._place == np.arange(len(self._place))
        lacks, starts = own & ~self._known, np.cumsum(self._counts) - self._counts
        batches: dict[int, list[Batch]] = {}
        for count in np.unique(self._counts):
            rows = np.flatnonzero(self._counts == count)
            together = masks_at_once(size, self._every, int(count))
            for first in range(0, len(rows), together):
                cut = rows[first : first + together]
                places = starts[cut, None] + np.arange(count)
                missing = lacks[places].sum(axis=1)
                for each in np.unique(missing[missing > 0]):
                    here = missing == each
                    asked = self.questions[places[here]][lacks[places[here]]].reshape(-1, each)
                    batch = AskedMasks(self._masks[cut[here]], asked)
                    batches.setdefault(int(each), []).append(batch)
        return [batch for each in sorted(batches) for batch in batches[each]]

    def fill(self, rows: Rows) -> None:
        """See `Table`; whole masks have the answers to all questions."""
        if rows.scores is None:
            return
        count = rows.scores.shape[1]
        asked = rows.questions
        if asked is None:
            asked = np.broadcast_to(np.arange(count), (len(rows), count))
        place = self._index.find(np.repeat(rows.masks, count, axis=0), asked.reshape(-1))
        wanted = np.flatnonzero(place >= 0)
        if not len(wanted):
            return
        answers = rows.scores.reshape(len(rows) * count, *rows.scores.shape[2:])
        if self._scores is None:
            self._scores = np.empty((len(self._known), *answers.shape[1:]), dtype=np.float32)
        self._known[place[wanted]] = True
        self._scores[place[wanted]] = answers[wanted]

    @property
    def scores(self) -> Float32[np.ndarray, "r ..."]:
        """The score of every answer, in order.

        Raises:
            InputError: some were not evaluated.
        """
        if self._scores is None or not self._known[self._place].all():
            raise InputError("the executor did not evaluate all masks; evaluate again")
        return self._scores[self._place]
