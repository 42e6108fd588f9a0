"""What a circuit loses without each of its players, asked no more questions than it takes to tell.

The circuit without a player answers 16 questions first, then twice as many, and so on, in one random order.
It is asked no more once its answers are shown to differ from the circuit's. Looking several times costs as
many tests: p-values are multiplied by the number of stages, so that they hold whenever a player stops. On a
part of the questions the larger of two p-values counts, the bootstrap's and a t test's, since a bootstrap of
few questions is too sure. Whoever is not shown to be needed has answered all questions.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.core.significance import sign_tests
from spex_mech.pruning.asked_values import AskedValues

_FIRST = 16  # questions of the first stage; fewer could not show an effect at the corrected level


def raced_effects(
    asked: AskedValues,
    circuit: Float64[np.ndarray, " e"],
    without: Bool[np.ndarray, "c n"],
    *,
    seed: int,
    tests: int,
    level: float,
) -> tuple[list[Float64[np.ndarray, " q"]], Float64[np.ndarray, " c"]]:
    """The effects of a circuit's players on the questions that they were asked, and their p-values.

    Args:
        asked: the questions.
        circuit: float64 (e,), the circuit's value on each question.
        without: bool (c, n), the circuit without each of its players.
        seed: seed of the order of questions and of the tests.
        tests: number of tests that will be corrected for.
        level: a player stops once its p-value times ``tests`` is below this.

    Returns:
        F(C) - F(C without the player) on the questions that were asked, in the game's order where that is
        all of them; and the p-values (c,), for all stages together.
    """
    order = np.random.default_rng(seed).permutation(asked.questions)
    stages = [min(max(_FIRST, asked.first), asked.questions)]
    while stages[-1] < asked.questions:
        stages.append(min(2 * stages[-1], asked.questions))
    effects: list[np.ndarray] = [np.empty(0)] * len(without)
    p, active = np.ones(len(without)), np.arange(len(without))
    for stage in stages:
        chosen = order[:stage] if stage < asked.questions else np.arange(asked.questions)
        gaps = circuit[chosen] - asked(without[active], chosen)
        found = sign_tests(gaps.T, seed=seed, tests=len(stages) * tests)
        if stage < asked.questions:
            found = np.maximum(found, _t_tests(gaps))
        p[active] = np.minimum(p[active], np.minimum(len(stages) * found, 1.0))
        for row, gap in zip(active, gaps, strict=True):
            effects[row] = gap
        active = active[p[active] * tests >= level]
        if not len(active):
            break
    return effects, p


def _t_tests(gaps: Float64[np.ndarray, "c q"]) -> Float64[np.ndarray, " c"]:
    """Two-sided p-values of means being 0; 1 where the differences do not vary."""
    from scipy.special import stdtr

    count = gaps.shape[1]
    error = gaps.std(axis=1, ddof=1) / np.sqrt(count)
    varies = np.ptp(gaps, axis=1) > 0
    t = np.divide(np.abs(gaps.mean(axis=1)), error, out=np.zeros(len(gaps)), where=varies)
    return np.where(varies, 2.0 * stdtr(count - 1, -t), 1.0)
