"""The true ablations behind a circuit's numbers: which masks, and the tests of its parts."""

from __future__ import annotations

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

LEVEL = 0.05
_TRIED = 256  # parts K tried on the spectrum for each player


class Table:
    """Values of masks on every question, evaluated when first looked at."""

    def __init__(
        self, game: Any, store: str | Path | None, executor: str | Executor, progress: bool | None
    ) -> None:
        self._game = game
        self._told: dict[str, Any] = {
            "store": store,
            "executor": executor,
            "progress": progress,
            "label": "circuit",
        }
        self._rows: dict[bytes, Float64[np.ndarray, " e"]] = {}

    @property
    def count(self) -> int:
        """How many masks were looked at."""
        return len(self._rows)

    def look(self, masks: Bool[np.ndarray, "m n"]) -> None:
        """Evaluate masks (m, n) that have not been."""
        fresh = masks[unique(masks)[0]]
        fresh = fresh[[row.tobytes() not in self._rows for row in fresh]]
        if len(fresh):
            keys = [row.tobytes() for row in fresh]
            self._rows.update(zip(keys, self._measured(fresh), strict=True))

    def of(self, masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, "m e"]:
        """Values (m, e) of masks that were looked at."""
        if not len(masks):
            return np.empty((0, len(next(iter(self._rows.values())))))
        return np.stack([self._rows[row.tobytes()] for row in masks])

    def _measured(self, masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, "m e"]:
        if isinstance(self._game, (QuestionGame, ExampleGame)):
            return per_question(self._game, masks, **self._told)
        return evaluate(self._game, MaskDesign(masks, seed=0), **self._told).values[:, None]


@dataclass(frozen=True, eq=False)
class Trials:
    """The minimality tests: rows are the players of the circuit, columns of the first two questions."""

    effects: Float64[np.ndarray, "c e"]
    scores: Float64[np.ndarray, "c e"]
    knocked: Bool[np.ndarray, "c n"]
    p: Float64[np.ndarray, " c"]


def trials(
    table: Table,
    mask: Bool[np.ndarray, " n"],
    without: Bool[np.ndarray, "c n"],
    spectrum: Spectrum | None,
    seed: int,
    rng: np.random.Generator,
) -> Trials:
    """Two tests for each player are corrected for, whether or not the second is made."""
    inside = np.flatnonzero(mask)
    c = len(inside)
    effects = table.of(mask[None]) - table.of(without)
    tests = c if spectrum is None else 2 * c
    p = np.ones(tests)
    p[:c] = sign_tests(effects.T, seed=seed, tests=tests)
    knocked = np.zeros((c, len(mask)), dtype=bool)
    scores = effects.copy()
    unsure = np.flatnonzero(p[:c] >= LEVEL)
    if spectrum is not None and len(unsure):
        parts = np.stack([_telling(spectrum, mask, inside[row], rng) for row in unsure])
        kept = mask & ~parts
        table.look(np.concatenate([kept, kept & without[unsure]]))
        second = table.of(kept) - table.of(kept & without[unsure])
        p[c + unsure] = sign_tests(second.T, seed=seed, tests=tests)
        better = p[c + unsure] < p[unsure]
        scores[unsure[better]] = second[better]
        knocked[unsure[better]] = parts[better]
    return Trials(effects, scores, knocked, holm(p).reshape(-1, c).min(axis=0))


def _telling(
    spectrum: Spectrum, mask: Bool[np.ndarray, " n"], player: int, rng: np.random.Generator
) -> Bool[np.ndarray, " n"]:
    """The part K of the circuit without which the spectrum's terms say that a player matters most."""
    terms = replace(spectrum, predictor=None)
    others = mask.copy()
    others[player] = False
    parts = np.concatenate([others[None] & False, parts_of(others, _TRIED, rng)])
    kept = mask & ~parts
    fewer = kept.copy()
    fewer[:, player] = False
    return parts[np.abs(terms(kept) - terms(fewer)).argmax()]


def parts_of(
    mask: Bool[np.ndarray, " n"], count: int, rng: np.random.Generator
) -> Bool[np.ndarray, "k n"]:
    """Distinct parts of a set, not empty: at random, or all of them where there are no more."""
    inside = np.flatnonzero(mask)
    c = len(inside)
    if count == 0 or c == 0:
        return np.empty((0, len(mask)), dtype=bool)
    if c < 16 and 2**c - 1 <= count:
        every = chain.from_iterable(combinations(inside, k) for k in range(1, c + 1))
        return np.stack([np.isin(np.arange(len(mask)), part) for part in every])
    found: dict[bytes, np.ndarray] = {}
    while len(found) < count:
        part = mask & (rng.random(len(mask)) < 0.5)
        if part.any():
            found.setdefault(part.tobytes(), part)
    return np.stack(list(found.values()))
