"""Ablations that test a circuit: values per question, random parts, and tests of its players."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.core.games import ExampleGame, QuestionGame
from spex_mech.core.masks import unique
from spex_mech.core.significance import holm, sign_tests
from spex_mech.core.spectrum import Spectrum
from spex_mech.designs import MaskDesign
from spex_mech.evaluation.evaluate import evaluate
from spex_mech.evaluation.executors import Executor
from spex_mech.evaluation.wrappers import per_question
from spex_mech.pruning.asked_values import AskedValues
from spex_mech.pruning.circuit_race import raced_gaps

LEVEL = 0.05
_PARTS = 256  # parts K compared on the spectrum for each player


class QuestionValues:
    """Values of masks on every question, each mask evaluated once."""

    def __init__(
        self, game: Any, store: str | Path | None, executor: str | Executor, progress: bool | None
    ) -> None:
        self._game = game
        self._options: dict[str, Any] = {
            "store": store,
            "executor": executor,
            "progress": progress,
            "label": "circuit",
        }
        self._rows: dict[bytes, Float64[np.ndarray, " e"]] = {}
        self._taken = 0

    @property
    def count(self) -> int:
        """Number of masks evaluated."""
        return len(self._rows) - self._taken

    def evaluate(self, masks: Bool[np.ndarray, "m n"]) -> None:
        """Evaluate masks (m, n) that have not been evaluated before."""
        fresh = masks[unique(masks)[0]]
        fresh = fresh[[row.tobytes() not in self._rows for row in fresh]]
        if len(fresh):
            keys = [row.tobytes() for row in fresh]
            self._rows.update(zip(keys, self._measured(fresh), strict=True))

    def take(
        self, masks: Bool[np.ndarray, "m n"], values: Sequence[Float64[np.ndarray, " e"]]
    ) -> None:
        """Take values that are known from elsewhere, which do not count as evaluated here."""
        for mask, row in zip(masks, values, strict=True):
            if mask.tobytes() not in self._rows:
                self._rows[mask.tobytes()] = row
                self._taken += 1

    def of(self, masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, "m e"]:
        """Values (m, e) of masks (m, n) that were evaluated."""
        if not len(masks):
            return np.empty((0, len(next(iter(self._rows.values())))))
        return np.stack([self._rows[row.tobytes()] for row in masks])

    def _measured(self, masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, "m e"]:
        if isinstance(self._game, (QuestionGame, ExampleGame)):
            return per_question(self._game, masks, **self._options)
        return evaluate(self._game, MaskDesign(masks, seed=0), **self._options).values[:, None]


@dataclass(frozen=True, eq=False)
class MinimalityTests:
    """The minimality tests of the players of a circuit, one row per player.

    Attributes:
        effects: F(C) - F(C ∖ {v}) per question that was asked, all of them unless players race.
        scores: F(C ∖ K) - F(C ∖ (K ∪ {v})) per question, at the K in which the player's p-value is lower.
        knocked: True = in K.
        p: p-values, corrected for all tests of the circuit (Holm).
    """

    effects: Sequence[Float64[np.ndarray, " q"]]
    scores: Sequence[Float64[np.ndarray, " q"]]
    knocked: Bool[np.ndarray, "c n"]
    p: Float64[np.ndarray, " c"]


def minimality_tests(
    table: QuestionValues,
    mask: Bool[np.ndarray, " n"],
    without: Bool[np.ndarray, "c n"],
    spectrum: Spectrum | None,
    seed: int,
    rng: np.random.Generator,
    asked: AskedValues | None = None,
) -> MinimalityTests:
    """Test whether the circuit changes without each of its players.

    K is empty in the first test of each player. A player whose first test shows no effect is tested again at
    the K that the spectrum names. The correction counts two tests for every player, made or not.

    Args:
        table: values per question; the masks of the second tests are added.
        mask: bool (n,), the circuit C.
        without: bool (c, n), the circuit without each of its players in turn.
        spectrum: chooses the K of the second tests; without one there are none.
        seed: seed of the tests.
        rng: draws the parts from which K is chosen.
        asked: asks the first test of each player no more questions than it takes (see `circuit_race`); None
            for all, whose values are in ``table`` then.
    """
    inside = np.flatnonzero(mask)
    c = len(inside)
    tests = c if spectrum is None else 2 * c
    p = np.ones(tests)
    whole = table.of(mask[None])[0]
    if asked is None:
        effects = [*(whole - table.of(without))]
        p[:c] = sign_tests(np.stack(effects, 1), seed=seed, tests=tests)
    else:

        def without_each(rows: np.ndarray, questions: np.ndarray) -> Float64[np.ndarray, "a q"]:
            return whole[questions] - asked(without[rows], questions)

        effects, _, p[:c] = raced_gaps(without_each, c, asked, seed=seed, tests=tests, level=LEVEL)
    knocked = np.zeros((c, len(mask)), dtype=bool)
    scores = [*effects]
    unsure = np.flatnonzero(p[:c] >= LEVEL)
    if spectrum is not None and len(unsure):
        parts = np.stack([_decisive_part(spectrum, mask, inside[i], rng) for i in unsure])
        kept = mask & ~parts
        if asked is not None:  # K may be empty, and its answers known
            table.take(without[unsure], [whole - effects[i] for i in unsure])
        table.evaluate(np.concatenate([kept, kept & without[unsure]]))
        second = table.of(kept) - table.of(kept & without[unsure])
        p[c + unsure] = sign_tests(second.T, seed=seed, tests=tests)
        for row, score, part in zip(unsure, second, parts, strict=True):
            if p[c + row] < p[row]:
                scores[row], knocked[row] = score, part
    return MinimalityTests(effects, scores, knocked, holm(p).reshape(-1, c).min(axis=0))


def _decisive_part(
    spectrum: Spectrum, mask: Bool[np.ndarray, " n"], player: int, rng: np.random.Generator
) -> Bool[np.ndarray, " n"]:
    """The part K of the circuit without which a player's effect on the spectrum's terms is largest."""
    terms = replace(spectrum, predictor=None)
    others = mask.copy()
    others[player] = False
    parts = np.concatenate([others[None] & False, random_parts(others, _PARTS, rng)])
    kept = mask & ~parts
    fewer = kept.copy()
    fewer[:, player] = False
    effects = np.abs(terms(kept) - terms(fewer))
    # Parts that differ only by players without a term with this one have equal effects up to rounding.
    return parts[np.flatnonzero(effects >= effects.max() * (1 - 1e-9))[-1]]


def random_parts(
    mask: Bool[np.ndarray, " n"], count: int, rng: np.random.Generator
) -> Bool[np.ndarray, "k n"]:
    """Up to ``count`` distinct parts of a set, none empty; each player is in with probability one half."""
    inside = np.flatnonzero(mask)
    c = len(inside)
    if count == 0 or c == 0:
        return np.empty((0, len(mask)), dtype=bool)
    if c < 16 and 2**c - 1 <= count:
        every = chain.from_iterable(combinations(inside, k) for k in range(1, c + 1))
        return np.stack([np.isin(np.arange(len(mask)), part) for part in every])
    parts: dict[bytes, np.ndarray] = {}
    while len(parts) < count:
        part = mask & (rng.random(len(mask)) < 0.5)
        if part.any():
            parts.setdefault(part.tobytes(), part)
    return np.stack(list(parts.values()))
