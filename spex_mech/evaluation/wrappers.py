"""Games around a game: one that remembers its values, one that keeps to a budget, one that stores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float64

from spex_mech.core.errors import InputError
from spex_mech.core.games import ExampleGame, QuestionGame, ValueFunction
from spex_mech.core.masks import check_masks, pack, unique
from spex_mech.core.players import PlayerSet
from spex_mech.designs import MaskDesign
from spex_mech.evaluation.evaluate import evaluate
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


class Remembered(Wrapper):
    """A game that evaluates no mask twice, for as long as it lives.

    Args:
        game: the game.
    """

    def __init__(self, game: ValueFunction) -> None:
        self.game = game
        self._known: dict[bytes, float] = {}

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


class Metered(Wrapper):
    """A game that counts the different masks it is asked for, and refuses those beyond a budget.

    A mask asked twice is counted once: whoever asks could have remembered it. Whether the game itself
    had evaluated it for somebody else does not matter.

    Args:
        game: the game.
        budget: how many different masks may be asked for.

    Attributes:
        game: the game.
        budget: see above.
        spent: how many have been.

    Raises:
        InputError: a negative budget.
    """

    def __init__(self, game: ValueFunction, budget: int) -> None:
        if budget < 0:
            raise InputError(f"the budget is {budget} ablations, expected 0 or more")
        self.game, self.budget, self.spent = game, budget, 0
        self._counted: set[bytes] = set()

    @property
    def left(self) -> int:
        """Ablations that may still be spent."""
        return self.budget - self.spent

    def __call__(self, masks: npt.ArrayLike) -> Float64[np.ndarray, " m"]:
        """Values of masks (m, n), True = present.

        Raises:
            InputError: more new masks than the budget has left; none is evaluated then.
        """
        masks = check_masks(masks, self.players.n)
        new = set(_keys(masks)) - self._counted
        self.spend(len(new))
        self._counted |= new
        return np.asarray(self.game(masks.copy()), dtype=np.float64)

    def spend(self, ablations: int) -> None:
        """Count work that is no mask, such as a pass through the full model, in ablations.

        Raises:
            InputError: more than the budget has left.
        """
        if ablations > self.left:
            raise InputError(
                f"{ablations} ablations were asked for when {self.spent} of the budget of "
                f"{self.budget} were spent; raise the budget"
            )
        self.spent += ablations


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
