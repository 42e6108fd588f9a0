"""Which sizes of a curve pass on validation questions, with no more questions than it takes to tell.

A size answers a few questions first, then twice as many, and so on, in one random order. It is asked no
more once a one-sided t test shows its loss to be above what the rule allows, or below it. The tests are at
the level alpha / (2 * stages * sizes), so that alpha is the chance of any verdict on a part of the questions
that all of them would contradict, by Bonferroni's inequality, for losses that are about normal. Losses that
do not vary yet decide nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2, sqrt

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.pruning.asked_values import AskedValues

_ERRORS = 0.05  # chance of a wrong verdict on a part of the questions
_FIRST = 8  # fewest questions of the first stage


@dataclass(frozen=True)
class SizeRule:
    """A loss passes up to ``tolerance + errors * SE``, SE being its standard error on all questions.

    Attributes:
        tolerance: acceptable loss.
        errors: number of standard errors.
    """

    tolerance: float
    errors: float

    def passes(self, gaps: Float64[np.ndarray, " e"]) -> bool:
        """Whether losses on all questions pass."""
        most = self.tolerance + self.errors * standard_error(gaps) + 1e-12
        return bool(gaps.mean() <= most)

    def verdict(self, gaps: Float64[np.ndarray, " q"], questions: int, level: float) -> bool | None:
        """Whether losses on the first questions show that all will pass or fail; None if neither.

        Args:
            gaps: float64 (q,), losses on q questions that were drawn at random.
            questions: number of all questions.
            level: one-sided level of each of the two tests.
        """
        from scipy.special import stdtrit

        count, spread = len(gaps), float(gaps.std(ddof=1))
        if not np.ptp(gaps) > 0:
            return None
        excess = gaps.mean() - self.tolerance - self.errors * spread / sqrt(questions)
        error = spread * sqrt((1.0 - count / questions) / count)
        if abs(excess) <= stdtrit(count - 1, 1.0 - level) * error:
            return None
        return bool(excess < 0)


def race_sizes(
    asked: AskedValues, masks: Bool[np.ndarray, "s n"], rule: SizeRule, *, seed: int
) -> tuple[Float64[np.ndarray, " e"], list[Float64[np.ndarray, " q"]], list[int], int]:
    """Find the sizes that pass, from the first mask to the last before one that fails.

    Args:
        asked: the validation questions.
        masks: bool (s, n), kept sets, largest first.
        rule: what passes.
        seed: seed of the order of questions.

    Returns:
        The full model's values (e,); the losses of each mask that was asked, on the questions that it was
        asked; the positions of the masks that passed, the last one on all questions; and the rows spent.
    """
    every = asked.questions
    order = np.random.default_rng(seed).permutation(every)
    first = min(max(_FIRST, asked.first), every)
    level = _ERRORS / (2 * max(1, ceil(log2(every / first))) * len(masks))
    full = asked(np.ones((1, masks.shape[1]), dtype=bool), order)[0]
    gaps: list[Float64[np.ndarray, " q"]] = []
    passed: list[int] = []
    for k, mask in enumerate(masks):
        stage, verdict = first, None
        while verdict is None:
            gap = full[:stage] - asked(mask[None], order[:stage])[0]
            whole = stage == every
            verdict = rule.passes(gap) if whole else rule.verdict(gap, every, level)
            stage = min(2 * stage, every)
        gaps.append(gap)
        if not verdict:
            break
        passed.append(k)
    while passed:
        last = passed[-1]
        gaps[last] = full - asked(masks[last : last + 1], order)[0]
        if rule.passes(gaps[last]):
            break
        passed.pop()
    return full, gaps, passed, asked.memory.rows


def standard_error(gaps: Float64[np.ndarray, " q"]) -> float:
    """The standard error of a mean."""
    return float(gaps.std(ddof=1)) / sqrt(len(gaps))
