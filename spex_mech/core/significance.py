"""Tests and intervals of claims: accuracies on the same questions, repeated splits, many tests at once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64

from spex_mech.core.errors import InputError
from spex_mech.core.estimates import Estimate, resampled_means


@dataclass(frozen=True)
class McNemar:
    """Two systems' right and wrong answers to the same questions.

    Attributes:
        only_a: questions that only the first answers right.
        only_b: questions that only the second answers right.
        n: number of questions.
        p: two-sided p-value of the exact test that both are right equally often.
        difference: accuracy of the first minus that of the second, with an interval.
    """

    only_a: int
    only_b: int
    n: int
    p: float
    difference: Estimate

    def __str__(self) -> str:
        return f"{self.difference}, {self.only_a} against {self.only_b} questions, p = {self.p:.2g}"


def mcnemar(a: npt.ArrayLike, b: npt.ArrayLike, *, level: float = 0.95) -> McNemar:
    """McNemar's exact test of two accuracies on the same questions, and their difference.

    Of the questions that the two answer differently, each is right on half under the hypothesis, so the
    p-value is twice the smaller binomial tail, at most 1 (McNemar 1947; exact by the binomial). The
    interval is Bonett and Price's (2012): Wald's with one added to both counts of such questions and two
    to the number of questions. Unlike a bootstrap interval it does not shrink to nothing where the two
    differ on few questions or on none.

    Args:
        a: (e,) 1 or True where the first system is right, else 0.
        b: (e,) the same for the second, on the same questions in the same order.
        level: coverage, between 0 and 1.

    Raises:
        InputError: different numbers of questions, none, or values other than 0 and 1.
    """
    from scipy.stats import binomtest

    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise InputError(
            f"right and wrong answers have shapes {first.shape} and {second.shape}; score the same "
            "questions, one or more"
        )
    if not (np.isin(first, (0.0, 1.0)).all() and np.isin(second, (0.0, 1.0)).all()):
        raise InputError("mcnemar takes a 0 or 1 for each question; ask for the accuracy metric")
    only_a, only_b = int((first > second).sum()), int((second > first).sum())
    differ, n = only_a + only_b, len(first)
    p = float(binomtest(only_a, differ).pvalue) if differ else 1.0
    more_a, more_b = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    middle = more_a - more_b
    half = _normal_quantile(level) * sqrt((more_a + more_b - middle**2) / (n + 2))
    low, high = max(-1.0, middle - half), min(1.0, middle + half)
    return McNemar(only_a, only_b, n, p, Estimate((only_a - only_b) / n, low, high, n, level))


def repeated_difference(
    a: Sequence[npt.ArrayLike],
    b: Sequence[npt.ArrayLike],
    questions: Sequence[Sequence[Hashable]],
    *,
    level: float = 0.95,
) -> Estimate:
    """Mean of a − b over repeated splits, with an interval for new splits and new questions.

    Each split r has its own search questions, hence its own pruned models, and its own test questions q,
    which overlap with those of other splits. With d_rq = mu + s_r + g_q + e_rq (effects of the split,
    of the question, and of both), the estimate is the mean of the splits' means, sum c_rq d_rq with
    c_rq = 1 / (R n_r). Neither a bootstrap over questions (blind to s_r) nor one over splits (blind to
    the g_q that overlapping splits share) covers mu; the variance here is clustered both ways (Cameron,
    Gelbach and Miller 2011): that of split sums times R / (R − 1), plus that of question sums times
    N / (N − 1), minus that of single cells, and never below the larger of the first two. The interval
    is Student's, with Satterthwaite's degrees of freedom from R − 1 and N − 1: with few splits it is
    wide if the splits disagree. Nadeau and Bengio's (2003) corrected t-test, the usual choice, takes the
    correlation of splits from n_test / n_train alone, and is made for training sets that are larger than
    the test sets; a search uses fewer questions than the test.

    Args:
        a: for each split, float64 (e_r,), one value per test question.
        b: the other system's values on the same questions in the same order.
        questions: for each split, the ids (e_r,) of its test questions, by which splits overlap.
        level: coverage, between 0 and 1.

    Returns:
        The estimate; its ``n`` counts different questions. Positive = a is higher.

    Raises:
        InputError: fewer than two splits or two questions, values that do not pair, or a question that
            comes twice in a split.
    """
    if not len(a) == len(b) == len(questions) or len(a) < 2:
        raise InputError(
            f"got {len(a)}, {len(b)} and {len(questions)} splits; give two or more, with a, b and the "
            "questions of each"
        )
    gaps: list[Float64[np.ndarray, " e"]] = []
    for r, (first, second, ids) in enumerate(zip(a, b, questions, strict=True)):
        x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
        if x.shape != y.shape or x.shape != (len(ids),) or len({*ids}) < len(ids) or not len(ids):
            raise InputError(
                f"split {r} has values of shapes {x.shape} and {y.shape} and {len({*ids})} different "
                f"questions of {len(ids)}; give one value per question, each question once"
            )
        gaps.append(x - y)
    place = {name: k for k, name in enumerate(dict.fromkeys(q for ids in questions for q in ids))}
    splits, n = len(gaps), len(place)
    if n < 2:
        raise InputError("an interval needs at least two different questions")
    mean = float(np.mean([gap.mean() for gap in gaps]))
    of_split, of_question, of_cells = np.zeros(splits), np.zeros(n), 0.0
    for r, (gap, ids) in enumerate(zip(gaps, questions, strict=True)):
        part = (gap - mean) / (splits * len(gap))
        of_split[r] = part.sum()
        of_question[[place[q] for q in ids]] += part
        of_cells += float(part @ part)
    rows = splits / (splits - 1) * float(of_split @ of_split)
    columns = n / (n - 1) * float(of_question @ of_question)
    variance = max(rows + columns - of_cells, rows, columns)
    if variance == 0.0:
        return Estimate(mean, mean, mean, n, level)
    freedom = (rows + columns) ** 2 / (rows**2 / (splits - 1) + columns**2 / (n - 1))
    half = _student_quantile(level, freedom) * sqrt(variance)
    return Estimate(mean, mean - half, mean + half, n, level)


def sign_tests(
    differences: Float64[np.ndarray, "e t"], *, seed: int, tests: int | None = None
) -> Float64[np.ndarray, " t"]:
    """Two-sided bootstrap p-values of many paired differences being 0 on average.

    p = 2 min(1 + #{mean* <= 0}, 1 + #{mean* >= 0}) / (B + 1), mean* being the mean of resampled
    questions (Davison and Hinkley 1997, section 4.2); B grows with the number of tests, so that a
    correction for all of them leaves room to reject.

    Args:
        differences: float64 (e, t), a column for each test, a row for each question. With a single row
            the values are exact: p is 0 where they are not 0.
        seed: seed of the resampling, which all tests share.
        tests: number of tests that will be corrected for; default t.
    """
    e, t = differences.shape
    if e == 1:
        return np.where(np.abs(differences[0]) > 1e-9, 0.0, 1.0)
    draws = max(10_000, 200 * (tests or t))
    means = resampled_means(differences, seed, draws)
    # Means that would be 0 are not, by rounding.
    tiny = 1e-12 * np.abs(differences).max(axis=0, initial=0.0)
    below, above = (means <= tiny).sum(axis=0), (means >= -tiny).sum(axis=0)
    return np.minimum(1.0, 2 * (1 + np.minimum(below, above)) / (draws + 1))


def holm(p: Float64[np.ndarray, " t"]) -> Float64[np.ndarray, " t"]:
    """Holm's adjusted p-values: all those below a level are false with probability at most that level."""
    order = np.argsort(p, kind="stable")
    scaled = p[order] * np.arange(len(p), 0, -1)
    out = np.empty_like(p)
    out[order] = np.minimum(1.0, np.maximum.accumulate(scaled))
    return out


def _normal_quantile(level: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(0.5 + level / 2)


def _student_quantile(level: float, freedom: float) -> float:
    from scipy.stats import t

    return float(t.ppf(0.5 + level / 2, freedom))
