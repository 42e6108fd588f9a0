"""Stratified knock-outs: some players removed at a time, each equally often, and a LASSO of the values."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.core.errors import InputError
from spex_mech.designs import MaskDesign
from spex_mech.evaluation.asked import ask_design
from spex_mech.evaluation.wrappers import asking
from spex_mech.pruning.methods.method import Method, Problem, keep_top
from spex_mech.pruning.methods.spectrum import asked_counts

_PENALTY = 0.01  # of the published code, for values of mean 0 and variance 1
_FEWEST = 2


def stratified_knock_outs(share: float = 0.02) -> Method:
    """Rank players by a LASSO on masks that each remove a small share of them (arXiv 2603.03335).

    A mask removes ``share`` of the players, one at least: those that were removed least often so far, with
    ties in random order. The whole budget goes into such masks. The penalty is .01 for standardised values,
    as published. A player whose removal costs most is kept longest. Where candidates race, more masks are
    asked some questions each, for as many rows.

    Args:
        share: part of the players that a mask removes, above 0 and below 1; 2 % is what the paper recommends.

    Raises:
        InputError: a share out of range, or (when called) a budget of less than two masks.
    """
    if not 0 < share < 1:
        raise InputError(f"share is {share}, expected a part of the players, above 0 and below 1")

    def scores(problem: Problem) -> Float64[np.ndarray, " n"]:
        if problem.game.left < _FEWEST:
            raise InputError(
                f"stratified knock-outs need {_FEWEST} ablations or more, the budget has "
                f"{problem.game.left} left"
            )
        gone, values = _removed(problem, share)
        if not np.ptp(values) > 0:
            return np.zeros(problem.n)
        from sklearn.linear_model import Lasso

        standard = (values - values.mean()) / values.std()
        return -Lasso(alpha=_PENALTY, max_iter=5000).fit(gone.astype(float), standard).coef_

    return keep_top(scores)


def _removed(
    problem: Problem, share: float
) -> tuple[Bool[np.ndarray, "m n"], Float64[np.ndarray, " m"]]:
    """The players that each mask removes, and its value; the whole budget is spent."""
    game, n, seed = problem.game, problem.n, problem.seed
    asked = None if problem.racing() is None else asking(game)
    if asked is None:
        gone = balanced_knock_outs(n, game.left, share, seed=seed)
        return gone, game(~gone)
    counts, _ = asked_counts(problem, asked, game.rows_left)
    gone = balanced_knock_outs(n, len(counts), share, seed=seed)
    return gone, ask_design(asked, MaskDesign(~gone, seed), counts).values


def balanced_knock_outs(n: int, count: int, share: float, *, seed: int) -> Bool[np.ndarray, "m n"]:
    """Players that each mask removes, bool (count, n), True = removed; all about equally often."""
    rng = np.random.default_rng(seed)
    size = max(1, int(share * n))
    gone, times = np.zeros((count, n), dtype=bool), np.zeros(n, dtype=np.int64)
    for row in gone:
        row[np.lexsort((rng.random(n), times))[:size]] = True
        times += row
    return gone
