"""Choosing by removing players one at a time from the model itself."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.core.errors import InputError
from spex_mech.pruning.methods.method import Problem, keep_top
from spex_mech.pruning.prune import Pruned


def greedy_removal(problem: Problem) -> list[Pruned]:
    """Remove whom the rest misses least, again and again (backward elimination).

    A round removes each player that is left by itself and then, for good, the one without whom the
    value is highest. Down to k of n players that takes n + (n-1) + ... + (k+1) ablations. Where the
    budget does not reach the smallest size, rounds remove the fewest players at a time with which it
    does: the least missed ones of the same round, in their order.

    Raises:
        InputError: a budget of less than one round, which is an ablation for each player.
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
"""Players kept by how much the full model loses without each alone: an ablation for each player."""


def _step(n: int, smallest: int, budget: int) -> int:
    """The fewest players a round that reach the smallest size within the budget."""
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
