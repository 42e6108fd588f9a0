"""Values of sets on some questions of a game, each pair of a set and a question evaluated once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from spex_mech.core.games import AsksQuestions
from spex_mech.evaluation.asked import AnswerMemory
from spex_mech.evaluation.executors import Executor
from spex_mech.evaluation.wrappers import Recorded, asking
from spex_mech.pruning.race import Racing, racing_of


class AskedValues:
    """A game whose questions are asked one by one.

    Args:
        game: what is asked.
        racing: decides how many questions the first stage has, and remembers what was asked.
        metric: the metric; None for the game's own.

    Attributes:
        questions: number of all questions, e.
        first: fewest questions that are worth asking a mask.
    """

    def __init__(self, game: AsksQuestions, racing: Racing, metric: str | None) -> None:
        self._game, self._memory = game, racing.memory
        self._options: dict[str, Any] = {} if metric is None else {"metric": metric}
        self.questions, self.first = racing.questions, racing.first

    @property
    def memory(self) -> AnswerMemory:
        """What has been asked."""
        return self._memory

    def __call__(
        self, masks: Bool[np.ndarray, "m n"], questions: Int64[np.ndarray, " q"]
    ) -> Float64[np.ndarray, "m q"]:
        """The metric of masks on the same questions; those known are not asked again."""
        asked = np.tile(questions, (len(masks), 1))
        return self._game.per_asked(self._memory.scores(masks, asked), asked, **self._options)


def asked_values(
    game: Any,
    questions: str,
    *,
    metric: str | None = None,
    store: str | Path | None = None,
    executor: str | Executor = "local",
    progress: bool | None = None,
    label: str = "scoring",
) -> AskedValues | None:
    """A game whose questions are asked one by one, where ``questions`` is ``auto`` and it can be; else None.

    Args:
        game: the game.
        questions: ``all`` or ``auto``.
        metric: the metric; None for the game's own.
        store: see `evaluate`, as all that follow; one parameter for each of its options.
        executor: where masks are evaluated.
        progress: whether a bar is shown.
        label: what to write beside the bar.

    Raises:
        InputError: ``questions`` is neither ``all`` nor ``auto``.
    """
    recorded = game
    if store is not None:
        recorded = Recorded(game, Path(store), progress, label, executor)
    racing, inside = racing_of(recorded, questions), asking(recorded)
    return None if racing is None or inside is None else AskedValues(inside, racing, metric)
