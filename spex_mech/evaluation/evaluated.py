"""`Run`: an evaluated design, and what of it another evaluation can use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64

from spex_mech.core.answers import Answers
from spex_mech.core.short_repr import short_repr
from spex_mech.designs import MaskDesign
from spex_mech.evaluation.store.shards import Rows


@short_repr
@dataclass(frozen=True, eq=False)
class Run:
    """An evaluated design.

    Attributes:
        design: the design.
        masks: bool (m, n), the design's masks, True = present.
        values: float64 (m,). Of masks that were asked some questions each, they are `Answers.means`.
        scores: float32 (m, examples, ...) of games that keep them, else None; (r, ...), one for each answer,
            where masks were asked some questions each (None of a part of a store's questions).
        evaluated: how many masks this call truly evaluated; the rest were equal or stored.
        noise_floor: how far scores of the same masks were apart when evaluated together and one by
            one; None where they were not compared, because batches are fixed and float32.
        key: what decided the values, field by field, as the game said it.
        answers: the r answers, mask after mask, where masks were asked some questions each; else None.
    """

    design: MaskDesign
    masks: Bool[np.ndarray, "m n"]
    values: Float64[np.ndarray, " m"]
    scores: Float32[np.ndarray, "m ..."] | None
    evaluated: int
    noise_floor: float | None = None
    key: Mapping[str, str] | None = None
    answers: Answers | None = None

    @property
    def rows(self) -> int:
        """What the design costs: pairs of a mask and a question."""
        if self.answers is not None:
            return len(self.answers)
        count = 1 if self.scores is None or self.scores.ndim < 2 else self.scores.shape[1]
        return len(self.masks) * count


def rows_of(run: Run) -> Iterator[Rows]:
    """What a run has evaluated, masks that were asked equally many questions together.

    Answers without scores are left out: values of their masks are estimates.
    """
    if run.answers is None:
        yield Rows(run.masks, run.values, run.scores)
    if run.answers is None or run.scores is None:
        return
    counts = run.answers.counts
    starts = np.cumsum(counts) - counts
    for count in np.unique(counts):
        rows = np.flatnonzero(counts == count)
        places = starts[rows, None] + np.arange(count)
        asked, values = run.answers.question[places], run.answers.values[places].mean(axis=1)
        yield Rows(run.masks[rows], values, run.scores[places], asked)
