"""`Method` and `Problem`: what a method of choosing kept sets takes and returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float64

from spex_mech.evaluation.questions import ALL
from spex_mech.evaluation.wrappers import Metered
from spex_mech.pruning.prune import Pruned, ranked
from spex_mech.pruning.race import Racing, racing_of


@dataclass(frozen=True, eq=False)
class Problem:
    """A game on the search questions, and the ablations that may be spent on it.

    Attributes:
        game: counts the rows that a method evaluates, and refuses those beyond ``game.budget``.
        keeps: numbers of players to keep; the budget is for all of them together.
        seed: seed of all random draws. Methods that draw the same kind of masks draw the same ones.
        questions: ``all``, or ``auto`` for methods that race their candidates; see `pruning.race`.
    """

    game: Metered
    keeps: tuple[int, ...]
    seed: int
    questions: str = ALL

    @property
    def n(self) -> int:
        """Number of players."""
        return self.game.players.n

    def racing(self) -> Racing | None:
        """New races of the game; None where its masks are asked all questions at once.

        Raises:
            InputError: ``questions`` is neither ``all`` nor ``auto``.
        """
        return racing_of(self.game, self.questions)


class Method(Protocol):
    """A way of choosing kept sets."""

    def __call__(self, problem: Problem, /) -> Sequence[Pruned]:
        """A kept set for each of ``problem.keeps``, in their order.

        Raises:
            InputError: a problem that the method cannot take, such as too small a budget.
        """
        ...


Rankings = Callable[[Problem], Float64[np.ndarray, "r n"]]
"""Scores of the players (r, n), higher = kept longer, counted in the problem's budget."""


def keep_top(score: Callable[[Problem], Float64[np.ndarray, " n"]]) -> Method:
    """The method that keeps the players of the highest scores, at every size; ties go to the first.

    Args:
        score: problem -> float64 (n,), higher = kept longer.
    """

    def choose(problem: Problem) -> list[Pruned]:
        scores = score(problem)
        return [Pruned(ranked(scores, k), None, None, 0) for k in problem.keeps]

    return choose
