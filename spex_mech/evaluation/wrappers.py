"""Games around a game: one that remembers its values, one that keeps to a budget, one that stores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float32, Float64, Int64

from spex_mech.core.errors import InputError
from spex_mech.core.games import AsksQuestions, ExampleGame, QuestionGame, ValueFunction
from spex_mech.core.masks import check_masks, pack, unique
from spex_mech.core.players import PlayerSet
from spex_mech.designs import MaskDesign
from spex_mech.evaluation.asked import AnswerMemory, PairSet
from spex_mech.evaluation.evaluate import evaluate, evaluate_asked
from spex_mech.evaluation.evaluated import Run, rows_of
from spex_mech.evaluation.executors import Executor


class Wrapper:
    """A game around another one.

    Attributes:
        game: the game inside.
    """

    game: ValueFunction

    @property
    def players(self) -> PlayerSet:
        """The game's players."""
        return self.game.players

    @property
    def fingerprint(self) -> str:
        """The game's fingerprint."""
        return self.game.fingerprint

    @property
    def innermost(self) -> ValueFunction:
        """The game that is wrapped, however often."""
        return self.game.innermost if isinstance(self.game, Wrapper) else self.game

    @property
    def question_ids(self) -> tuple[str, ...]:
        """The game's questions; this and what follows is for a game that can be asked some, see `asking`."""
        return _inside(self).question_ids

    def asked_scores(
        self, masks: Bool[np.ndarray, "m n"], questions: Int64[np.ndarray, "m q"]
    ) -> Float32[np.ndarray, "m q ..."]:
        """See `AsksQuestions`."""
        return _inside(self).asked_scores(masks, questions)

    def per_asked(
        self, scores: Float32[np.ndarray, "m q ..."], questions: Int64[np.ndarray, "m q"]
    ) -> Float64[np.ndarray, "m q"]:
        """See `AsksQuestions`."""
        return _inside(self).per_asked(scores, questions)

    def asking_cost(self) -> tuple[float, float]:
        """See `AsksQuestions`."""
        return _inside(self).asking_cost()


def asking(game: Any) -> AsksQuestions | None:
    """The game, or the wrapper of it, as one that can be asked some questions; None where it cannot."""
    innermost = game.innermost if isinstance(game, Wrapper) else game
    return game if isinstance(innermost, AsksQuestions) else None


def _inside(wrapper: Wrapper) -> AsksQuestions:
    inside = asking(wrapper.game)
    if inside is None:
        raise InputError("the game is asked all of its questions only; set questions='all'")
    return inside


class Remembered(Wrapper):
    """A game that evaluates no mask twice, for as long as it lives.

    Args:
        game: the game.
    """

    def __init__(self, game: ValueFunction) -> None:
        self.game = game
        self._known: dict[bytes, float] = {}
        asked = asking(game)
        self._answers = None if asked is None else AnswerMemory(asked)

    def __call__(self, masks: npt.ArrayLike) -> Float64[np.ndarray, " m"]:
        """Values of masks (m, n), True = present; those asked before are not evaluated again."""
        masks = check_masks(masks, self.players.n)
        first, _ = unique(masks)
        keys = _keys(masks)
        new = [i for i in first.tolist() if keys[i] not in self._known]
        if new:
            values = np.asarray(self.game(masks[new]), dtype=np.float64)
            self._known.update(zip((keys[i] for i in new), values.tolist(), strict=True))
        return np.array([self._known[key] for key in keys], dtype=np.float64)

    def asked_scores(
        self, masks: Bool[np.ndarray, "m n"], questions: Int64[np.ndarray, "m q"]
    ) -> Float32[np.ndarray, "m q ..."]:
        """See `AsksQuestions`; pairs asked before are not evaluated again."""
        if self._answers is None:
            return super().asked_scores(masks, questions)
        return self._answers.scores(masks, questions)


class Metered(Wrapper):
    """A game that counts the rows it is asked for, and refuses those beyond a budget.

    A row is a question under a mask, or a mask of a game that is asked all of its questions. A row asked
    twice is counted once: whoever asks could have remembered it. Whether the game itself had evaluated it for
    somebody else does not matter.

    Args:
        game: the game.
        budget: how many different masks may be asked for, or as many rows as these have.

    Attributes:
        game: the game.
        budget: see above.
        questions: rows of one mask.
        rows: how many have been asked for.

    Raises:
        InputError: a negative budget.
    """

    def __init__(self, game: ValueFunction, budget: int) -> None:
        if budget < 0:
            raise InputError(f"the budget is {budget} ablations, expected 0 or more")
        asked = asking(game)
        self.game, self.budget, self.rows = game, budget, 0
        self.questions = 1 if asked is None else len(asked.question_ids)
        self._counted = PairSet(self.questions)

    @property
    def spent(self) -> int:
        """What has been spent in whole masks, rounded up."""
        return -(-self.rows // self.questions)

    @property
    def left(self) -> int:
        """Whole masks that may still be asked for."""
        return self.budget - self.spent

    @property
    def rows_left(self) -> int:
        """Rows that may still be asked for."""
        return self.budget * self.questions - self.rows

    def __call__(self, masks: npt.ArrayLike) -> Float64[np.ndarray, " m"]:
        """Values of masks (m, n), True = present.

        Raises:
            InputError: more new masks than the budget has left; none is evaluated then.
        """
        masks = check_masks(masks, self.players.n)
        self._count(masks, np.tile(np.arange(self.questions), (len(masks), 1)))
        return np.asarray(self.game(masks.copy()), dtype=np.float64)

    def asked_scores(
        self, masks: Bool[np.ndarray, "m n"], questions: Int64[np.ndarray, "m q"]
    ) -> Float32[np.ndarray, "m q ..."]:
        """See `AsksQuestions`.

        Raises:
            InputError: more new rows than the budget has left; none is evaluated then.
        """
        self._count(masks, questions)
        return super().asked_scores(masks.copy(), questions)

    def count_run(self, run: Run) -> None:
        """Count what a run has evaluated as asked for here.

        Raises:
            InputError: more new rows than the budget has left.
        """
        for rows in rows_of(run):
            every = np.tile(np.arange(self.questions), (len(rows), 1))
            self._count(rows.masks, every if rows.questions is None else rows.questions)

    def spend(self, ablations: int) -> None:
        """Count work that is no mask, such as a pass through the full model, in ablations.

        Raises:
            InputError: more than the budget has left.
        """
        self._spend(ablations * self.questions)

    def _count(self, masks: Bool[np.ndarray, "m n"], questions: Int64[np.ndarray, "m q"]) -> None:
        self._spend(int(self._counted.new(masks, questions).sum()))
        self._counted.add(masks, questions)

    def _spend(self, rows: int) -> None:
        if rows > self.rows_left:
            unit = "rows" if rows % self.questions or self.rows % self.questions else "ablations"
            scale = self.questions if unit == "ablations" else 1
            raise InputError(
                f"{rows // scale} {unit} were asked for when {self.rows // scale} of the budget of "
                f"{self.budget * self.questions // scale} were spent; raise the budget"
            )
        self.rows += rows


@dataclass(frozen=True, eq=False)
class Recorded(Wrapper):
    """A game that keeps every evaluation in a store and never evaluates a mask twice.

    Attributes:
        game: the game.
        store: folder of its store, shared with `evaluate`.
        progress: see `evaluate`.
        label: see `evaluate`.
        executor: see `evaluate`.
    """

    game: ValueFunction
    store: Path
    progress: bool | None = None
    label: str = "ablations"
    executor: str | Executor = "local"

    def __call__(self, masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, " m"]:
        """Values of masks (m, n), evaluated or read from the store."""
        return evaluate(
            self.game,
            MaskDesign(masks=masks, seed=0),
            store=self.store,
            executor=self.executor,
            progress=self.progress,
            label=self.label,
        ).values

    def asked_scores(
        self, masks: Bool[np.ndarray, "m n"], questions: Int64[np.ndarray, "m q"]
    ) -> Float32[np.ndarray, "m q ..."]:
        """See `AsksQuestions`; evaluated, or read from the store as far as they are there."""
        return evaluate_asked(
            self.game,
            masks,
            questions,
            store=self.store,
            executor=self.executor,
            progress=self.progress,
            label=self.label,
        )


def per_question(
    game: QuestionGame | ExampleGame,
    masks: Bool[np.ndarray, "m n"],
    *,
    metric: str | None = None,
    **options: Any,
) -> Float64[np.ndarray, "m e"]:
    """A game's metric, or another, of every mask and question.

    A game that keeps scores is evaluated; a stored run has its answers already.

    Args:
        game: the game.
        masks: bool (m, n), True = present.
        metric: the metric; None for the game's own.
        options: keyword arguments of `evaluate`.

    Raises:
        InputError: an unknown metric; of a stored run, masks or questions that it does not have.
    """
    if not isinstance(game, ExampleGame):
        return game.per_question(masks, metric=metric)
    scores = evaluate(game, MaskDesign(masks=masks, seed=0), **options).scores
    measured: Any = game
    chosen = {} if metric is None else {"metric": metric}
    return np.asarray(measured.per_example(scores, **chosen))


def _keys(masks: Bool[np.ndarray, "m n"]) -> list[bytes]:
    return [row.tobytes() for row in pack(masks)]
