"""`find_keep_rates`: evaluate a pilot, and draw the rest of a design where values move."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Int64

from spex_mech.core.errors import InputError
from spex_mech.core.games import AnyGame, AskedGame, Game
from spex_mech.core.short_repr import short_repr
from spex_mech.designs import MaskDesign
from spex_mech.designs.pilot import keep_range, pilot, piloted
from spex_mech.evaluation.evaluate import evaluate
from spex_mech.evaluation.evaluated import Run
from spex_mech.evaluation.games import as_game
from spex_mech.evaluation.questions import (
    ALL,
    AUTO,
    PILOT,
    QuestionChoice,
    choose_questions,
    chosen_number,
    counts_of,
)
from spex_mech.evaluation.rounds import in_rounds


@short_repr
@dataclass(frozen=True, eq=False)
class KeepRates:
    """Keep rates at which a game's values move, and the design that uses them.

    Attributes:
        low, high: every mask draws its keep rate from this range.
        design: the whole budget: the pilot's masks first, and then masks at these keep rates.
        run: the evaluated pilot; None where the budget was too small for one.
        choice: how many questions each mask is asked; None for all.
    """

    low: float
    high: float
    design: MaskDesign
    run: Run | None
    choice: QuestionChoice | None = None

    @property
    def message(self) -> str:
        """One sentence on what was seen."""
        return message_of(self.low, self.high, None if self.run is None else len(self.run.design))

    @property
    def questions(self) -> Int64[np.ndarray, " m"] | str:
        """How many questions each mask of the design is asked, for `evaluate`: ``all``, or numbers (m,)."""
        return ALL if self.choice is None else self.choice.counts(len(self.design))


def message_of(low: float, high: float, masks: int | None) -> str:
    """What a pilot of so many masks has shown; None for no pilot."""
    between = f"keep rates are drawn from {low:.2f} to {high:.2f}"
    if masks is None:
        return f"{between}, the usual range: a budget below 80 masks has no pilot to find it"
    return (
        f"{between}: between these a pilot of {masks} masks saw values move from those of no players to "
        "those of all"
    )


def find_keep_rates(
    game: AnyGame,
    budget: int,
    *,
    n: int | None = None,
    seed: int = 0,
    questions: int | str = ALL,
    rounds: bool = False,
    **options: Any,
) -> KeepRates:
    """Evaluate a pilot of a twentieth of the budget, and find the keep rates at which values move.

    The pilot's masks are the first ones of the design that is returned, so nothing of it is lost: pass
    the same ``store`` (or ``known=rates.run``) when the design is evaluated. A budget below 80 masks has no
    pilot, and gets a range that is usual for transformers.

    With some questions for each mask, the same number of answers is spread over more masks, those of the
    pilot with 4 questions each; evaluate the design with ``questions=rates.questions``.

    Args:
        game: a `ValueFunction`, or any callable from bool masks (m, n) to values (m,).
        budget: number of masks that are asked all questions, those of the pilot included; where masks are
            asked some questions each, as many answers as these would have.
        n: number of players, for a callable without ``players``.
        seed: seed of the masks.
        questions: ``all``; ``auto``, see `choose_questions` (all, of a game that cannot be asked some); or
            the number of questions that each mask is asked.
        rounds: the design will be evaluated in rounds, see `in_rounds`.
        options: as for `evaluate`: ``store``, ``known``, ``executor``, ``batch``, ``spec``, ``progress``.

    Raises:
        InputError: an unknown number of players, or as for `designs.biased` and `evaluate`.
    """
    game = as_game(game)
    count = n if game.players is None else game.players.n
    if count is None:
        raise InputError(
            "the game does not say how many players it has; give find_keep_rates(..., n=...)"
        )
    options = {"label": "pilot", **options}
    every = questions_to_choose(game, questions)
    if every is None:
        first = pilot(count, budget, seed=seed)
        run = None if first is None else evaluate(game, first, **options)
        low, high = _range(run, count)
        return KeepRates(low, high, piloted(first, (low, high), count, budget, seed=seed), run)
    rows, each = budget * every, min(PILOT, every)
    first = pilot(count, rows // each, seed=seed)
    run = None if first is None else evaluate(game, first, questions=each, **options)
    low, high = _range(run, count)
    choice = choice_of(game, questions, None if run is None else run.answers)
    pilots = 0 if first is None else len(first)
    if rounds:
        choice = in_rounds(replace(choice, pilot=pilots), count, budget)
    else:
        choice = replace(choice.spread(rows), pilot=pilots)
    design = piloted(first, (low, high), count, choice.masks(rows), seed=seed)
    return KeepRates(low, high, design, run, choice)


def questions_to_choose(game: Game, questions: int | str) -> int | None:
    """The number of a game's questions, if a mask is to be asked some of them; None if all.

    Raises:
        InputError: as for `counts_of`.
    """
    if questions == AUTO:
        some = isinstance(game, AskedGame) and len(game.question_ids) > 1
        return len(game.question_ids) if some else None  # pyright: ignore[reportAttributeAccessIssue]
    one = MaskDesign(np.ones((1, 1), dtype=bool), 0)
    if counts_of(game, one, questions) is None:
        return None
    assert isinstance(game, AskedGame)
    return len(game.question_ids)


def choice_of(game: Game, questions: int | str, answers: Any) -> QuestionChoice:
    """How many questions to ask each mask, from what was set, or from a pilot's answers."""
    assert isinstance(game, AskedGame)
    every = len(game.question_ids)
    if isinstance(questions, str):
        return choose_questions(game.asking_cost(), every, answers)
    return chosen_number(questions, every)


def _range(run: Run | None, n: int) -> tuple[float, float]:
    if run is None:
        return keep_range(None, None, n)
    return keep_range(run.masks, run.values, n)
