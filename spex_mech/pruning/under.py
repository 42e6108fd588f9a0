"""One kept set under several kinds of ablation, since faithfulness depends on the kind.

Miller, Chughtai and Saunders (arXiv 2407.08734) show that the same circuit can be faithful under one ablation
and not under another. F(K) is the game's value with the players K kept and all others ablated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spex_mech.core.errors import InputError
from spex_mech.core.estimates import Estimate, means_of, ratio_of_means
from spex_mech.core.games import QuestionGame
from spex_mech.core.masks import check_masks
from spex_mech.core.short_repr import short_repr
from spex_mech.evaluation.executors import Executor
from spex_mech.pruning.circuit_tests import QuestionValues


@short_repr
@dataclass(frozen=True)
class AblatedGame:
    """A game of one kind of ablation.

    Attributes:
        name: the kind, as it is shown.
        game: the game on questions that did not choose the kept set.
        store: folder for its evaluations, see `evaluate`.
        empty: the game of F(∅), where that has constants of its own; None for ``game``.
        empty_store: folder for the evaluations of ``empty``.
    """

    name: str
    game: QuestionGame
    store: str | Path | None = None
    empty: QuestionGame | None = None
    empty_store: str | Path | None = None


@dataclass(frozen=True)
class UnderAblation:
    """A kept set C among all players M, under one kind of ablation.

    Attributes:
        ablation: the kind.
        full: F(M).
        empty: F(∅).
        alone: F(C).
        loss: F(M) - F(C).
        faithfulness: (F(C) - F(∅)) / (F(M) - F(∅)); None where F(M) - F(∅) could be 0.
    """

    ablation: str
    full: Estimate
    empty: Estimate
    alone: Estimate
    loss: Estimate
    faithfulness: Estimate | None


def under_ablations(
    games: Sequence[AblatedGame],
    kept: npt.ArrayLike,
    *,
    seed: int = 0,
    executor: str | Executor = "local",
    progress: bool | None = None,
) -> tuple[UnderAblation, ...]:
    """Measure the faithfulness of one kept set under several kinds of ablation, on the same questions.

    Three ablations for each kind. Intervals are 95 % over questions (bootstrap), paired within a kind.

    Args:
        games: one for each kind.
        kept: bool (n,), True = kept.
        seed: seed of the bootstrap.
        executor: see `evaluate`.
        progress: see `evaluate`.

    Raises:
        InputError: a kept set of other players, or games that ask different questions.
    """
    asked = {tuple(game.game.question_ids) for game in games}
    if len(asked) > 1:
        raise InputError(
            "the games ask different questions, so that their numbers cannot be compared; leave out what "
            "one of them cannot ask"
        )
    return tuple(_under(game, kept, seed, executor, progress) for game in games)


def _under(
    ablated: AblatedGame,
    kept: npt.ArrayLike,
    seed: int,
    executor: str | Executor,
    progress: bool | None,
) -> UnderAblation:
    (mask,) = check_masks(kept, ablated.game.players.n)
    nothing = np.zeros_like(mask)
    table = QuestionValues(ablated.game, ablated.store, executor, progress)
    own = ablated.empty is None
    wanted = np.stack([np.ones_like(mask), mask, *([nothing] if own else [])])
    table.evaluate(wanted)
    full, alone = table.of(wanted[:2])
    if not own:
        table = QuestionValues(ablated.empty, ablated.empty_store, executor, progress)
        table.evaluate(nothing[None])
    (empty,) = table.of(nothing[None])
    means = means_of(np.stack([full, empty, alone, full - alone], 1), seed=seed)
    return UnderAblation(
        ablated.name,
        full=means[0],
        empty=means[1],
        alone=means[2],
        loss=means[3],
        faithfulness=ratio_of_means(alone - empty, full - empty, seed=seed),
    )
