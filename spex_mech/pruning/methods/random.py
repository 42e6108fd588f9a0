"""Methods that choose at random: a random order, and the best of many random sets."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from spex_mech.core.errors import InputError
from spex_mech.core.masks import unique
from spex_mech.pruning.methods.method import Problem, keep_top
from spex_mech.pruning.moves import AllowedSets, random_sets
from spex_mech.pruning.prune import Pruned
from spex_mech.pruning.race import Racing


def best_of_random(problem: Problem) -> list[Pruned]:
    """The best of random sets of each size, with the budget in equal parts (ProxySPEX's Best-of-N).

    Where candidates race, as many sets are drawn as could be asked the questions of two stages, and as many
    again for the rows that are left.

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
    rng, allowed = np.random.default_rng(seed), AllowedSets(problem.n, keep)
    racing = problem.racing()
    if racing is not None:
        return _winner(racing, allowed, count * racing.questions, rng)
    masks = random_sets(allowed, count, rng)
    values = problem.game(masks)
    best = int(values.argmax())
    return Pruned(masks[best], None, float(values[best]), len(masks))


def _winner(racing: Racing, allowed: AllowedSets, rows: int, rng: np.random.Generator) -> Pruned:
    """The winner of races of random sets, each with the winner before, until the rows are spent."""
    champion, value = np.zeros((0, allowed.n), dtype=bool), None
    spent = -1
    while racing.memory.rows > spent and rows - racing.memory.rows >= racing.questions:
        spent = racing.memory.rows
        drawn = random_sets(allowed, (rows - spent) // racing.planned, rng)
        masks = np.concatenate([champion, drawn])
        masks = masks[unique(masks)[0]]
        race = racing.race(masks, rng=rng, rows=rows - spent, champion=len(champion) > 0)
        best = int(np.where(race.alive, race.values, -np.inf).argmax())
        champion, value = masks[best : best + 1], float(race.values[best])
    return Pruned(champion[0], None, value, 0)


def _chance(problem: Problem) -> Float64[np.ndarray, " n"]:
    return np.random.default_rng(problem.seed).random(problem.n)


random_order = keep_top(_chance)
"""Keep players in a random order, without any ablation, so that smaller sets are parts of larger ones."""
