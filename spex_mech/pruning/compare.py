"""All methods of choosing kept sets, run on the same questions at the same budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from spex_mech.core.errors import InputError
from spex_mech.core.games import ValueFunction
from spex_mech.evaluation.questions import ALL
from spex_mech.pruning import methods
from spex_mech.pruning.methods import Metered, Method, Problem, Rankings
from spex_mech.pruning.methods import model as model_rankings
from spex_mech.pruning.prune import OURS, Pruned

LASSO, RANDOM = "lasso ranking", "best of random"

METHODS: Mapping[str, Method] = {
    OURS: methods.surrogate_search(),
    LASSO: methods.lasso_ranking(),
    "taylor": model_rankings.taylor,
    "attribution patching": model_rankings.attribution_patching,
    "integrated gradients": model_rankings.integrated_gradients,
    "gradient search": model_rankings.gradient_search(),
    "knock-out": methods.knock_out,
    "stratified knock-outs": methods.stratified_knock_outs(),
    "greedy removal": methods.greedy_removal,
    RANDOM: methods.best_of_random,
    "attention entropy": model_rankings.attention_entropy,
    "output norm": model_rankings.output_norm,
    "random": methods.random_order,
}
"""Every method by name.

Those that look inside the model need a `TaskGame`, and entropy and norm also need heads as players.
"""

GRADIENTS = "gradients"
PROPOSALS: Mapping[str, Rankings | None] = {
    "lasso": None,
    GRADIENTS: model_rankings.by_gradients(),
}
"""What may propose sets to our search, by name (see `surrogate_search`). Gradients need a `TaskGame`."""


def choose_all(
    game: ValueFunction,
    keeps: Sequence[int],
    *,
    budget: int,
    seed: int,
    methods: Mapping[str, Method] = METHODS,
    questions: str = ALL,
) -> list[Pruned]:
    """Choose kept sets by every method at every size, at the same budget and on the same questions.

    A method that evaluates more different masks than the budget is stopped. Passes through the model itself
    are counted as ablations. Masks that several methods evaluate are counted for each, so that the result
    of one does not depend on the others; give a `methods.Remembered` or an
    `evaluation.Recorded` game to evaluate them once.

    Args:
        game: the game on the search questions.
        keeps: numbers of players to keep.
        budget: true ablations that each method may spend on all sizes together.
        seed: seed of all that the methods draw.
        methods: name to method; a subset or an extension of `METHODS`.
        questions: ``all``, or ``auto``: methods that compare candidates race them, and designs are asked
            some questions of each mask. The budget then pays for as many rows, questions under a mask, as so
            many ablations have, for every method alike.

    Returns:
        Method by method, in the order of ``methods``, and size by size, in the order of ``keeps``. The
        ablations of each are those that its method spent on all sizes together.

    Raises:
        InputError: no sizes, sizes out of range, twice or not whole, or a budget or game that a method
            cannot use.
    """
    sizes = _sizes(keeps, game.players.n)
    every: list[Pruned] = []
    for name, method in methods.items():
        meter = Metered(game, budget)
        kept_sets = method(Problem(meter, sizes, seed, questions))
        every += [replace(kept, method=name, ablations=meter.spent) for kept in kept_sets]
    return every


def _sizes(keeps: Sequence[int], n: int) -> tuple[int, ...]:
    sizes = tuple(keeps)
    whole = all(isinstance(k, (int, np.integer)) and not isinstance(k, bool) for k in sizes)
    if not sizes or not whole or not all(1 <= k <= n for k in sizes):
        raise InputError(f"keeps is {list(sizes)}, expected whole numbers of players from 1 to {n}")
    if len(set(sizes)) < len(sizes):
        raise InputError(f"keeps is {list(sizes)}, expected each size once")
    return tuple(int(k) for k in sizes)
