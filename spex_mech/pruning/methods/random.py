"""Methods that choose at random: a random order, and the best of many random sets."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from spex_mech.core.errors import InputError
from spex_mech.pruning.methods.method import Problem, keep_top
from spex_mech.pruning.moves import AllowedSets, random_sets
from spex_mech.pruning.prune import Pruned


def best_of_random(problem: Problem) -> list[Pruned]:
    """The best of random sets of each size, with the budget in equal parts (ProxySPEX's Best-of-N).

    Raises:
        InputError: a budget of less than one set per size.
    """
    count = problem.game.budget // len(problem.keeps)
    if count < 1:
        raise InputError(
            f"a budget of {problem.game.budget} ablations does not give each of "
            f"{len(problem.keeps)} sizes a random set; raise it"
        )
    seeds = np.random.SeedSequence(problem.seed).generate_state(len(problem.keeps))
    return [
        _best_of(problem, keep, count, int(seed))
        for keep, seed in zip(problem.keeps, seeds, strict=True)
    ]


def _best_of(problem: Problem, keep: int, count: int, seed: int) -> Pruned:
    masks = random_sets(AllowedSets(problem.n, keep), count, np.random.default_rng(seed))
    values = problem.game(masks)
    best = int(values.argmax())
    return Pruned(masks[best], None, float(values[best]), len(masks))


def _chance(problem: Problem) -> Float64[np.ndarray, " n"]:
    return np.random.default_rng(problem.seed).random(problem.n)


random_order = keep_top(_chance)
"""Keep players in a random order, without any ablation, so that smaller sets are parts of larger ones."""
