"""How large a difference a number of questions can show: known before a task is used."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from spex_mech.core.errors import InputError


@dataclass(frozen=True)
class Noise:
    """The accuracy of a number of questions, and the differences that they can show.

    Attributes:
        questions: number of questions.
        accuracy: share that is right; the assumed one where no model was asked.
        standard_error: of the accuracy over questions drawn like these, √(p (1 − p) / (n − 1)), as
            lm-evaluation-harness reports it.
        low: lower end of Wilson's 95 % interval of the accuracy.
        high: upper end of it.
        unpaired: the smallest true difference between two models, each asked other questions, that a
            test at level 5 % sees 4 times out of 5.
        paired: the same for two versions of a model asked the same questions, if they differ in being
            right on a share ``discordant`` of them.
        discordant: that share; raised above the argument where so few questions could not show it.
    """

    questions: int
    accuracy: float
    standard_error: float
    low: float
    high: float
    unpaired: float
    paired: float
    discordant: float

    def __str__(self) -> str:
        return (
            f"{self.questions} questions, accuracy {self.accuracy:.3f} ± {self.standard_error:.3f} "
            f"[{self.low:.3f}, {self.high:.3f}]; {self.differences}"
        )

    @property
    def differences(self) -> str:
        """The differences that the questions can show, in words."""
        return (
            f"can see a difference of {self.paired:.3f} on the same questions (if "
            f"{self.discordant:.0%} of the answers change), {self.unpaired:.3f} on others"
        )


def accuracy_noise(right: npt.ArrayLike, *, discordant: float = 0.1) -> Noise:
    """The noise of a measured accuracy.

    Args:
        right: (e,) 1 or True for each question that is answered right, else 0.
        discordant: share of questions on which two versions of a model are expected to differ in
            being right; 10 % is what pruning a few heads does.

    Raises:
        InputError: fewer than two questions, or values besides 0 and 1.
    """
    answers = np.asarray(right, dtype=np.float64)
    if answers.ndim != 1 or not np.isin(answers, (0.0, 1.0)).all():
        raise InputError(
            f"accuracy_noise takes one 0 or 1 per question, got shape {answers.shape} with values from "
            f"{answers.min(initial=0)} to {answers.max(initial=0)}; ask for the accuracy metric"
        )
    return expected_noise(len(answers), float(answers.mean() if len(answers) else 0), discordant)


def expected_noise(questions: int, accuracy: float = 0.5, discordant: float = 0.1) -> Noise:
    """The noise of a number of questions at an assumed accuracy; 0.5 is the worst case.

    A difference d is seen with power 0.8 at level 0.05 (two-sided) if d ≥ (z₀.₉₇₅ + z₀.₈) · σ, with
    σ² = 2 p (1 − p) / n on other questions, and σ² = (q − d²) / n on the same questions, q being the
    share on which the two differ (McNemar's test; Connor 1987 without the continuity correction). The
    share q cannot be below d: where the given one is, q = d. For other questions p is Agresti and
    Coull's (hits + 2) / (n + 4), so that an accuracy of 1 is not taken as free of noise.

    Raises:
        InputError: fewer than two questions, or shares outside 0 to 1.
    """
    from scipy.stats import binomtest

    if questions < 2:
        raise InputError(f"noise needs at least 2 questions, got {questions}")
    if not (0 <= accuracy <= 1 and 0 < discordant <= 1):
        raise InputError(
            f"accuracy is {accuracy} and discordant {discordant}; expected shares from 0 to 1"
        )
    n, p, q = questions, accuracy, discordant
    normal = NormalDist()
    z = normal.inv_cdf(0.975)
    reach = z + normal.inv_cdf(0.8)
    interval = binomtest(round(n * p), n).proportion_ci(method="wilson")
    coull = (n * p + 2) / (n + 4)
    paired = reach * sqrt(q / (n + reach**2))
    if paired > q:
        paired = reach**2 / (n + reach**2)  # the same equation with q = d
    return Noise(
        questions=n,
        accuracy=p,
        standard_error=sqrt(p * (1 - p) / (n - 1)),
        low=float(interval.low),
        high=float(interval.high),
        unpaired=reach * sqrt(2 * coull * (1 - coull) / n),
        paired=paired,
        discordant=max(q, paired),
    )
