"""Rounds: a budget that is spent in parts, so that the rest can be saved once enough is known.

The first round has 2 masks for each player, at least 64, and three times as many where each is asked some
questions only. Every further round spends half as much as was spent before it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spex_mech.evaluation.questions import MOST_SPREAD, QuestionChoice

_FIRST = 64  # fewest masks of the first round
_GROWTH = 1.5  # spent after a round, as a multiple of what was spent before it
_FIRST_PARTS, _PARTS = 2, 4  # of the masks that are left, one of which a round may take
_FIRST_ASKED = 3  # times as many masks in the first round, where each is asked some questions only


def in_rounds(
    choice: QuestionChoice, n: int, budget: int, *, most: int = MOST_SPREAD
) -> QuestionChoice:
    """The same choice, with more questions in later rounds where a budget would take too many masks.

    The first round may take half of the masks, and each further one a quarter of those that are left or an
    equal share of them, whichever is more. The masks of the first rounds are therefore asked as few
    questions as `QuestionChoice.each` says, however large the budget.

    Args:
        choice: how many questions each mask is asked, and the masks of the pilot.
        n: number of players.
        budget: masks that are asked all questions, whose number of answers may be spent.
        most: most masks.
    """
    goals = _goals(n, budget, choice)
    masks = spent = 0
    each = choice.each
    for k, goal in enumerate(goals):
        left = goal - spent
        parts = min(len(goals) - k, _PARTS if k else _FIRST_PARTS)
        room = max((most - masks) // parts, -(-left // choice.questions), 1)
        if choice.masks(goal) - masks > room:
            each = min(max(each, -(-left // room)), choice.questions)
            choice = replace(choice, later=(*choice.later, (max(masks, choice.pilot), each)))
        masks = choice.masks(goal)
        spent = int(choice.counts(masks).sum())
    if not choice.later:
        return choice
    more = f"later ones more, up to {each}, so that all rounds have about {most:,} masks at most"
    return replace(choice, message=f"{choice.message}; {more}")


def round_sizes(
    n: int, budget: int, choice: QuestionChoice | None, masks: int | None = None
) -> tuple[int, ...]:
    """How many masks there are after each round, the last one with all of a design's.

    Args:
        n: number of players.
        budget: masks that are asked all questions, or as many answers as these have.
        choice: how many questions each mask is asked; None for all.
        masks: masks of the design; by default as many as the budget pays for.
    """
    goals = _goals(n, budget, choice)
    if choice is None:
        every = budget if masks is None else masks
        sizes = goals
    else:
        every = choice.masks(goals[-1]) if masks is None else masks
        sizes = np.searchsorted(np.cumsum(choice.counts(every)), goals, side="right").tolist()
    return (*sorted({size for size in sizes if 0 < size < every}), every)


def _goals(n: int, budget: int, choice: QuestionChoice | None) -> list[int]:
    """What has been spent after each round: masks, or answers where each mask is asked some questions."""
    first, total = max(_FIRST, 2 * n), budget
    if choice is not None:
        first = int(replace(choice, later=()).counts(_FIRST_ASKED * first).sum())
        total = budget * choice.questions
    goals = [min(first, total)]
    while goals[-1] < total:
        goals.append(min(int(_GROWTH * goals[-1]), total))
    return goals
