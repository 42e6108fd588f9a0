"""Estimates with intervals: means, differences on the same questions, and ratios of means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float64

from spex_mech.core.errors import InputError

_BLOCK = 1_000_000  # numbers of resampling counts in memory at once
_MOST_KEPT = 2**24  # of them, that stay in memory for the next mean: 64 MiB
_FEW = 2**21  # of these, some sets stay: 8 MiB each


@dataclass(frozen=True)
class Estimate:
    """A mean with an interval.

    Attributes:
        mean: the sample mean.
        low: lower end of the interval.
        high: upper end of the interval.
        n: number of examples.
        level: coverage that the interval aims at.
    """

    mean: float
    low: float
    high: float
    n: int
    level: float

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def _counts(n: int, draws: int, seed: int) -> np.ndarray:
    """How often each of n examples is in each bootstrap sample: int (draws, n), no index array needed."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n, np.full(n, 1 / n), size=draws).astype(np.int32)


# Every metric and kept set has the same questions; parts of a circuit are asked few numbers of them.
_kept_counts = lru_cache(maxsize=1)(_counts)
_kept_few_counts = lru_cache(maxsize=8)(_counts)


def _known_counts(n: int, draws: int, seed: int) -> np.ndarray | None:
    """The counts of `_counts`, kept for the next mean; None of those that are too many to be kept."""
    if n * draws > _MOST_KEPT:
        return None
    return (_kept_few_counts if n * draws <= _FEW else _kept_counts)(n, draws, seed)


def bootstrap_mean(
    values: Float64[np.ndarray, " e"], *, seed: int, level: float = 0.95, draws: int = 10_000
) -> Estimate:
    """Mean of per-example values with a percentile bootstrap interval over the examples.

    Args:
        values: float64 (e,), one value per example.
        seed: seed of the resampling.
        level: coverage, between 0 and 1.
        draws: number of bootstrap samples.

    Raises:
        InputError: fewer than two examples.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise InputError(f"an interval needs at least two examples, got shape {values.shape}")
    counts = _known_counts(len(values), draws, seed)
    if counts is None:
        counts = _counts(len(values), draws, seed)
    means = counts @ values / len(values)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(float(values.mean()), float(low), float(high), len(values), level)


def paired_difference(
    a: Float64[np.ndarray, " e"], b: Float64[np.ndarray, " e"], *, seed: int, level: float = 0.95
) -> Estimate:
    """Mean of a − b on the same examples, with a paired bootstrap interval; positive = a is higher.

    Args:
        a: float64 (e,), one value per example.
        b: float64 (e,), the other system's values on the same examples in the same order.
        seed: seed of the resampling.
        level: coverage, between 0 and 1.

    Raises:
        InputError: different numbers of examples, or fewer than two.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        raise InputError(
            f"paired values have shapes {a.shape} and {b.shape}; score the same examples"
        )
    return bootstrap_mean(a - b, seed=seed, level=level)


def means_of(
    values: Float64[np.ndarray, "e t"], *, seed: int, level: float = 0.95, draws: int = 10_000
) -> list[Estimate]:
    """Means of many columns with the intervals of `bootstrap_mean`, all resampled at once.

    Args:
        values: float64 (e, t), a row for each question, a column for each mean. Of a single row, each
            mean is exact and its own interval.
        seed: seed of the resampling, which all columns share.
        level: coverage, between 0 and 1.
        draws: bootstrap samples.
    """
    e = len(values)
    tail = (1 - level) / 2
    ends = np.repeat(values, 2, axis=0)
    if e > 1:
        ends = np.quantile(resampled_means(values, seed, draws), [tail, 1 - tail], axis=0)
    return [
        Estimate(float(mean), float(low), float(high), e, level)
        for mean, low, high in zip(values.mean(axis=0), *ends, strict=True)
    ]


def means_of_rows(rows: Sequence[Float64[np.ndarray, " q"]], *, seed: int) -> list[Estimate]:
    """The mean of each row, of any length; rows of equally many questions are resampled together."""
    out: dict[int, Estimate] = {}
    for count in {len(row) for row in rows}:
        alike = [i for i, row in enumerate(rows) if len(row) == count]
        found = means_of(np.stack([rows[i] for i in alike], 1), seed=seed)
        out.update(zip(alike, found, strict=True))
    return [out[i] for i in range(len(rows))]


def ratio_of_means(
    top: Float64[np.ndarray, " e"],
    bottom: Float64[np.ndarray, " e"],
    *,
    seed: int,
    level: float = 0.95,
    draws: int = 10_000,
) -> Estimate | None:
    """Mean of ``top`` over mean of ``bottom``, with a percentile bootstrap interval over questions.

    Both means are taken of the same resampled questions.

    Args:
        top: float64 (e,), one value per question.
        bottom: float64 (e,), of the same questions.
        seed: seed of the resampling.
        level: coverage, between 0 and 1.
        draws: bootstrap samples.

    Returns:
        The ratio; None where the interval of ``bottom``'s mean holds 0, which no ratio is sure of.
    """
    under = means_of(bottom[:, None], seed=seed, level=level, draws=draws)[0]
    if under.low <= 0 <= under.high:
        return None
    ratio = float(top.mean() / bottom.mean())
    e = len(top)
    if e == 1:
        return Estimate(ratio, ratio, ratio, 1, level)
    means = resampled_means(np.stack([top, bottom], axis=1), seed, draws)
    tail = (1 - level) / 2
    low, high = np.quantile(means[:, 0] / means[:, 1], [tail, 1 - tail])
    return Estimate(ratio, float(low), float(high), e, level)


def resampled_means(values: np.ndarray, seed: int, draws: int) -> Float64[np.ndarray, "b t"]:
    """Means (draws, t) of the rows of values (e, t), resampled with replacement."""
    e = len(values)
    step = max(1, _BLOCK // e)
    known, rng, even = _known_counts(e, draws, seed), np.random.default_rng(seed), np.full(e, 1 / e)
    blocks = []
    for start in range(0, draws, step):
        rows = slice(start, min(start + step, draws))
        if known is not None:
            counts = known[rows]
        else:
            counts = rng.multinomial(e, even, size=rows.stop - start)
        blocks.append(counts @ values / e)
    return np.concatenate(blocks)
