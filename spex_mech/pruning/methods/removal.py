"""Methods that choose by removing players one at a time from the model itself."""

from __future__ import annotations

from math import ceil

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.core.errors import InputError
from spex_mech.pruning.methods.method import Problem, keep_top
from spex_mech.pruning.prune import Pruned
from spex_mech.pruning.race import Racing


def greedy_removal(problem: Problem) -> list[Pruned]:
    """Remove the player whose removal costs least, again and again (backward elimination).

    A round ablates each remaining player in turn and then removes for good the one without which the value
    is highest. Down to k of n players this takes n + (n-1) + ... + (k+1) ablations. Where the budget does
    not reach the smallest size, every round removes several players: as few as make the budget suffice,
    those whose removal alone cost least in that round.

    Where candidates race, a round is a race of the sets without one player each, for as many as are removed.
    The step is the smallest for which the budget lets each candidate of all rounds be asked the questions of
    the first two stages; a round that takes less leaves the rest to the others.

    Raises:
        InputError: a budget of less than one round.
    """
    n, smallest = problem.n, min(problem.keeps)
    racing = problem.racing()
    if racing is not None:
        return _raced_removal(problem, racing)
    step = _step(n, smallest, problem.game.budget)
    order: list[int] = []
    measured: dict[int, float] = {}
    while len(order) < n - smallest:
        mask = _without(n, order)
        kept = np.flatnonzero(mask)
        values = _value_without(problem, mask, kept)
        least_missed = kept[np.argsort(-values, kind="stable")[:step]]
        measured[len(kept) - 1] = float(values.max())
        order += least_missed.tolist()
    return [Pruned(_without(n, order[: n - k]), None, measured.get(k), 0) for k in problem.keeps]


def _raced_removal(problem: Problem, racing: Racing) -> list[Pruned]:
    n, smallest, meter = problem.n, min(problem.keeps), problem.game
    step = _step(n, smallest, meter.rows_left // racing.planned, racing.planned / racing.questions)
    rng = np.random.default_rng(problem.seed)
    order: list[int] = []
    measured: dict[int, float] = {}
    while len(order) < n - smallest:
        mask = _without(n, order)
        kept = np.flatnonzero(mask)
        fewer = _fewer(mask, kept)
        ahead = sum(range(len(kept), smallest, -step))
        race = racing.race(
            fewer,
            rng=rng,
            rows=meter.rows_left * len(kept) // ahead,
            winners=min(step, len(kept)),
            finish=False,
        )
        ranking = np.lexsort((-race.values, ~race.alive))
        if race.asked[ranking[0]] == racing.questions:
            measured[len(kept) - 1] = float(race.values[ranking[0]])
        order += kept[ranking[:step]].tolist()
    return [Pruned(_without(n, order[: n - k]), None, measured.get(k), 0) for k in problem.keeps]


def _missed(problem: Problem) -> Float64[np.ndarray, " n"]:
    full, players = np.ones(problem.n, dtype=bool), np.arange(problem.n)
    racing = problem.racing()
    if racing is None:
        return -_value_without(problem, full, players)
    order = np.random.default_rng(problem.seed).permutation(racing.questions)
    asked = order[: max(1, problem.game.rows_left // problem.n)]
    return -racing.answers(_fewer(full, players), asked).mean(axis=1)


knock_out = keep_top(_missed)
"""Keep the players whose removal alone costs the full model most. It takes one ablation per player.

Every player counts in this ranking, so that there is no race. With ``questions="auto"`` all are asked the
same questions, as many as the budget pays for.
"""


def _step(n: int, smallest: int, budget: int, cost: float = 1.0) -> int:
    """The fewest players to remove per round so that the budget reaches the smallest size.

    The budget is a number of candidates, each of which costs ``cost`` ablations.
    """
    for step in range(1, max(1, n - smallest) + 1):
        if sum(range(n, smallest, -step)) <= budget:
            return step
    raise InputError(
        f"greedy removal needs at least {ceil(n * cost)} ablations, one for each player"
        f"{'' if cost == 1 else ' on a part of the questions'}, the budget is {int(budget * cost)}; raise it"
    )


def _value_without(
    problem: Problem, mask: Bool[np.ndarray, " n"], players: np.ndarray
) -> Float64[np.ndarray, " k"]:
    """Values of the mask without each of some players."""
    return problem.game(_fewer(mask, players))


def _fewer(mask: Bool[np.ndarray, " n"], players: np.ndarray) -> Bool[np.ndarray, "k n"]:
    """The mask without each of some players."""
    fewer = np.repeat(mask[None], len(players), axis=0)
    fewer[np.arange(len(players)), players] = False
    return fewer


def _without(n: int, gone: list[int]) -> Bool[np.ndarray, " n"]:
    mask = np.ones(n, dtype=bool)
    mask[gone] = False
    return mask
