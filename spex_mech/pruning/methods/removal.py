"""Methods that choose by removing players one at a time from the model itself."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.core.errors import InputError
from spex_mech.pruning.methods.method import Problem, keep_top
from spex_mech.pruning.prune import Pruned


def greedy_removal(problem: Problem) -> list[Pruned]:
    """Remove the player whose removal costs least, again and again (backward elimination).

    A round ablates each remaining player in turn and then removes for good the one without which the value
    is highest. Down to k of n players this takes n + (n-1) + ... + (k+1) ablations. Where the budget does
    not reach the smallest size, every round removes several players: as few as make the budget suffice,
    those whose removal alone cost least in that round.

    Raises:
        InputError: a budget of less than one round, which is one ablation per player.
    """
    n, smallest = problem.n, min(problem.keeps)
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


def _missed(problem: Problem) -> Float64[np.ndarray, " n"]:
    return -_value_without(problem, np.ones(problem.n, dtype=bool), np.arange(problem.n))


knock_out = keep_top(_missed)
"""Keep the players whose removal alone costs the full model most. It takes one ablation per player."""


def _step(n: int, smallest: int, budget: int) -> int:
    """The fewest players to remove per round so that the budget reaches the smallest size."""
    for step in range(1, max(1, n - smallest) + 1):
        if sum(range(n, smallest, -step)) <= budget:
            return step
    raise InputError(
        f"greedy removal needs at least {n} ablations, one for each player, the budget is {budget}; "
        "raise it"
    )


def _value_without(
    problem: Problem, mask: Bool[np.ndarray, " n"], players: np.ndarray
) -> Float64[np.ndarray, " k"]:
    """Values of the mask without each of some players."""
    fewer = np.repeat(mask[None], len(players), axis=0)
    fewer[np.arange(len(players)), players] = False
    return problem.game(fewer)


def _without(n: int, gone: list[int]) -> Bool[np.ndarray, " n"]:
    mask = np.ones(n, dtype=bool)
    mask[gone] = False
    return mask
