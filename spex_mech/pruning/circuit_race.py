"""Differences of ablated models, asked no more questions than it takes to tell them from zero.

Pairs of models answer 16 questions first, then twice as many, and so on, in one random order. A pair is asked
no more once its answers are shown to differ: the circuit and the circuit without a player, or circuit and
model without the same part. Looking several times costs as many tests: p-values are multiplied by the
number of stages, so that they hold whenever a pair stops. On a part of the questions the larger of two
p-values counts, the bootstrap's and a t test's, since a bootstrap of few questions is too sure. A pair whose
difference is not shown has answered all questions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64, Int64

from spex_mech.core.significance import sign_tests
from spex_mech.pruning.asked_values import AskedValues

_FIRST = 16  # questions of the first stage; fewer could not show an effect at the corrected level


def raced_gaps(
    gaps: Callable[[Int64[np.ndarray, " a"], Int64[np.ndarray, " q"]], Float64[np.ndarray, "a q"]],
    count: int,
    asked: AskedValues,
    *,
    seed: int,
    tests: int,
    level: float,
) -> tuple[
    list[Float64[np.ndarray, " q"]], list[Int64[np.ndarray, " q"]], Float64[np.ndarray, " c"]
]:
    """The differences of pairs on the questions that they were asked, these questions, and p-values.

    Args:
        gaps: from some of the pairs and questions to their differences.
        count: number of pairs, c.
        asked: the questions.
        seed: seed of the order of questions and of the tests.
        tests: number of tests that will be corrected for.
        level: a pair stops once its p-value times ``tests`` is below this.

    Returns:
        Differences and the questions they are of, in the game's order where that is all of them; and the
        p-values (c,), for all stages together.
    """
    order = np.random.default_rng(seed).permutation(asked.questions)
    stages = [min(max(_FIRST, asked.first), asked.questions)]
    while stages[-1] < asked.questions:
        stages.append(min(2 * stages[-1], asked.questions))
    found: list[np.ndarray] = [np.empty(0)] * count
    on: list[np.ndarray] = [order[:0]] * count
    p, active = np.ones(count), np.arange(count)
    for stage in stages:
        if not len(active):
            break
        chosen = order[:stage] if stage < asked.questions else np.arange(asked.questions)
        measured = gaps(active, chosen)
        shown = sign_tests(measured.T, seed=seed, tests=len(stages) * tests)
        if stage < asked.questions:
            shown = np.maximum(shown, _t_tests(measured))
        p[active] = np.minimum(p[active], np.minimum(len(stages) * shown, 1.0))
        for row, gap in zip(active, measured, strict=True):
            found[row], on[row] = gap, chosen
        active = active[p[active] * tests >= level]
    return found, on, p


def _t_tests(gaps: Float64[np.ndarray, "c q"]) -> Float64[np.ndarray, " c"]:
    """Two-sided p-values of means being 0; 1 where the differences do not vary."""
    from scipy.special import stdtr

    count = gaps.shape[1]
    error = gaps.std(axis=1, ddof=1) / np.sqrt(count)
    varies = np.ptp(gaps, axis=1) > 0
    t = np.divide(np.abs(gaps.mean(axis=1)), error, out=np.zeros(len(gaps)), where=varies)
    return np.where(varies, 2.0 * stdtr(count - 1, -t), 1.0)
