"""Completeness: random parts K removed from circuit and model, and how much the two differ then.

The mean absolute difference over the parts takes their signs as they were measured. With races (see
`circuit_race`), circuit and model without a part are asked the same questions until their difference is
shown, and with it its sign, say q of e questions. A part stops early where these make its difference look
large, so their mean would be too large for all. As many other questions, drawn from those that are left,
therefore measure it: the first q stand for themselves and the others for all that are left, which makes the
estimate of the mean over all questions unbiased, whatever decided when to stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from spex_mech.core.estimates import Estimate, means_of, means_of_rows
from spex_mech.core.players import PlayerSet
from spex_mech.pruning.asked_values import AskedValues
from spex_mech.pruning.circuit_parts import KnockOut, names_in
from spex_mech.pruning.circuit_race import raced_gaps
from spex_mech.pruning.circuit_tests import LEVEL


def knocked_out(
    circuit: Sequence[Float64[np.ndarray, " q"]],
    model: Sequence[Float64[np.ndarray, " q"]],
    parts: Bool[np.ndarray, "k n"],
    players: PlayerSet,
    *,
    seed: int,
) -> tuple[tuple[KnockOut, ...], Estimate | None]:
    """Each part's knock-out, and the mean absolute difference; None without parts.

    Args:
        circuit: the values of the circuit without each part, on the same questions for all parts.
        model: those of the model without it.
        parts: bool (k, n), the parts.
        players: all players.
        seed: seed of the bootstrap.
    """
    if not len(parts):
        return (), None
    gaps = np.stack(circuit) - np.stack(model)
    mean = (_signs(gaps) @ gaps / len(parts))[:, None]
    return _knock_outs(circuit, model, parts, players, seed), means_of(mean, seed=seed)[0]


def raced_knock_outs(
    asked: AskedValues,
    mask: Bool[np.ndarray, " n"],
    parts: Bool[np.ndarray, "k n"],
    players: PlayerSet,
    *,
    seed: int,
) -> tuple[tuple[KnockOut, ...], Estimate | None]:
    """The same, with no more questions for a part than show its difference.

    Args:
        asked: the questions.
        mask: bool (n,), the circuit.
        parts: bool (k, n), the parts.
        players: all players.
        seed: seed of the order of questions, the tests and the bootstrap.
    """
    if not len(parts):
        return (), None
    kept, rest = mask & ~parts, ~parts

    def gaps_of(rows: np.ndarray, questions: np.ndarray) -> Float64[np.ndarray, "a q"]:
        return asked(kept[rows], questions) - asked(rest[rows], questions)

    _, on, _ = raced_gaps(gaps_of, len(parts), asked, seed=seed, tests=len(parts), level=LEVEL)
    samples = [_Sample.after(questions, asked.questions, seed) for questions in on]
    circuit, model = (
        [
            sample.spread(asked(sets[i : i + 1], sample.questions)[0])
            for i, sample in enumerate(samples)
        ]
        for sets in (kept, rest)
    )
    mean = _incompleteness(circuit, model, samples, asked.questions, seed)
    return _knock_outs(circuit, model, parts, players, seed), mean


@dataclass(frozen=True)
class _Sample:
    """Questions that stand for all.

    Attributes:
        questions: int64 (s,), the questions.
        first: how many of them decided when to stop, and stand for themselves only.
        every: number of all questions.
    """

    questions: Int64[np.ndarray, " s"]
    first: int
    every: int

    @classmethod
    def after(cls, first: Int64[np.ndarray, " q"], every: int, seed: int) -> _Sample:
        """The first questions and as many others, or those that are left."""
        left = np.setdiff1d(np.arange(every), first)
        others = np.random.default_rng([seed, len(first)]).permutation(left)[: len(first)]
        return cls(np.concatenate([first, others]), len(first), every)

    def spread(self, values: Float64[np.ndarray, " s"]) -> Float64[np.ndarray, " s"]:
        """Numbers whose plain mean, and its standard error, are those of the weighted mean of values."""
        parts = [part for part in (slice(self.first), slice(self.first, None)) if len(values[part])]
        sizes = (self.first, self.every - self.first)
        mean, moved = 0.0, np.zeros(len(values))
        for part, size in zip(parts, sizes, strict=False):
            own = values[part]
            mean += own.mean() * size / self.every
            moved[part] = (own - own.mean()) * size / self.every * len(values) / len(own)
        return mean + moved


def _knock_outs(
    circuit: Sequence[Float64[np.ndarray, " q"]],
    model: Sequence[Float64[np.ndarray, " q"]],
    parts: Bool[np.ndarray, "k n"],
    players: PlayerSet,
    seed: int,
) -> tuple[KnockOut, ...]:
    gaps = [a - b for a, b in zip(circuit, model, strict=True)]
    estimates = means_of_rows([*circuit, *model, *gaps], seed=seed)
    k = len(parts)
    return tuple(
        KnockOut(names_in(part, players), estimates[i], estimates[k + i], estimates[2 * k + i])
        for i, part in enumerate(parts)
    )


def _incompleteness(
    circuit: Sequence[Float64[np.ndarray, " s"]],
    model: Sequence[Float64[np.ndarray, " s"]],
    samples: Sequence[_Sample],
    questions: int,
    seed: int,
) -> Estimate:
    """The mean absolute difference of parts that were asked different numbers of questions.

    What a question moves it by, in all parts together, is resampled over questions: to first order the
    bootstrap of the means themselves.
    """
    mean, moved = 0.0, np.zeros(questions)
    for a, b, sample in zip(circuit, model, samples, strict=True):
        gap = (a - b) * _signs((a - b)[None])[0] / len(samples)
        mean += gap.mean()
        moved[sample.questions] += (gap - gap.mean()) * questions / len(gap)
    return means_of(mean + moved[:, None], seed=seed)[0]


def _signs(gaps: Float64[np.ndarray, "k q"]) -> Float64[np.ndarray, " k"]:
    return np.where(gaps.mean(axis=1) < 0, -1.0, 1.0)
