"""Kept sets of every size by ours and its rivals, for the same number of rows each.

A row is one question asked under one mask. A forward pass of the model on one question is a row, and a
backward pass is two, so that one gradient costs four (with the scores at its gates) and NAP-IG twenty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

import spex_mech as sm
from spex_mech.ablation import gate_gradients
from spex_mech.evaluation.wrappers import Metered, Recorded
from spex_mech.pruning import methods
from spex_mech.pruning.matched import matched
from spex_mech.pruning.methods import Problem
from spex_mech.pruning.methods import model as model_methods
from spex_mech.pruning.prune import ranked

OURS, MATCHED, SURROGATE = "ours", "ours, matched", "surrogate search"
QUESTIONS = 16  # search questions; NAP-IG takes as many as its rows pay for
_STEPS = 5  # ablations of each size on the way to a circuit that is as good as the model
_MATCHING = (
    4 * _STEPS * QUESTIONS
)  # rows that are left for that; few circuits of the smallest size need it
_SECOND = 5  # every fifth mask is asked two questions, the others one
GameOf = Callable[[int], sm.TaskGame]
"""From a number of questions to the game of the first ones of the search split."""


@dataclass(frozen=True, eq=False)
class Kept:
    """What a method keeps: bool (s, n), a set for each size, and the rows that it took."""

    method: str
    masks: Bool[np.ndarray, "s n"]
    rows: int


def surrogate(
    game_of: GameOf, keeps: tuple[int, ...], rows: int, seed: int, store: Path
) -> tuple[sm.Run, sm.Spectrum]:
    """Random masks for so many rows, and their spectrum."""
    run = _design(game_of(QUESTIONS), keeps, rows, rows, seed, store)
    return run, sm.decode(run.design, run, seed=seed)


def ours(
    game_of: GameOf, keeps: tuple[int, ...], rows: int, seed: int, store: Path
) -> tuple[Kept, Kept]:
    """Our best circuits (for CPR), and those that are as good as the model and no better (for CMD).

    The rows of the second are part of the budget.
    """
    game = game_of(QUESTIONS)
    asked = Metered(Recorded(game, store, False), rows // QUESTIONS)
    search = Metered(asked, (rows - _MATCHING) // QUESTIONS)
    search.spend(model_methods.GRADIENTS_COST)
    gradients = model_methods.gradient_rankings(game)
    found = model_methods.search_from(Problem(search, keeps, seed, "auto"), gradients)
    best = np.stack([kept.mask for kept in found])
    first = Kept(OURS, best, search.rows)
    nearest = np.stack([matched(asked, mask, gradients[0], steps=_STEPS) for mask in best])
    return first, Kept(MATCHED, nearest, first.rows + asked.rows - search.rows)


def rivals(
    game_of: GameOf, keeps: tuple[int, ...], rows: int, seed: int, store: Path, names: set[str]
) -> Iterator[Kept]:
    """Kept sets of the rivals in ``names``; gradients also ranked by their size, as MIB does for CMD."""
    gradients = {
        "NAP-IG": (gate_gradients.integrated_gradients, gate_gradients.STEPS * gate_gradients.COST),
        "AtP": (gate_gradients.gate_gradients, gate_gradients.COST),
    }
    for name, (function, cost) in gradients.items():
        if name in names:
            count = rows // (gate_gradients.STEPS * gate_gradients.COST)
            scores = function(game_of(count)).mean(axis=0)
            yield Kept(name, _top(scores, keeps), count * cost)
            yield Kept(f"{name}, absolute", _top(np.abs(scores), keeps), count * cost)
    searches = {  # the method, and of how many questions
        "greedy removal": (methods.greedy_removal, 2),
        "knock-out": (methods.knock_out, 4),
        "stratified knock-outs": (methods.stratified_knock_outs(), 4),
    }
    for name, (method, count) in searches.items():
        if name in names:
            game = Recorded(game_of(count), store.with_name(f"search-{count}"), False)
            meter = Metered(game, rows // count)
            found = method(Problem(meter, keeps, seed))
            yield Kept(name, np.stack([kept.mask for kept in found]), meter.rows)
    if SURROGATE in names:
        game = Metered(Recorded(game_of(QUESTIONS), store, False), rows // QUESTIONS)
        run, spectrum = surrogate(game_of, keeps, rows // 2, seed, store)
        found = methods.surrogate_search(run, spectrum)(Problem(game, keeps, seed, "auto"))
        yield Kept(SURROGATE, np.stack([kept.mask for kept in found]), game.rows)
    if "LASSO" in names:
        run = _design(game_of(QUESTIONS), keeps, rows, rows, seed, store)
        first = sm.decode(run.design, run, method="lasso", seed=seed, order=1)
        scores = np.array([-first[(i,)] for i in range(first.n)])
        yield Kept("LASSO", _top(scores, keeps), run.rows)


def _design(
    game: sm.TaskGame, keeps: tuple[int, ...], most: int, rows: int, seed: int, store: Path
) -> sm.Run:
    """Random masks with one or two questions each, for so many rows; fewer rows take the first masks."""
    n = game.players.n
    counts = np.where(np.arange(most) % _SECOND == _SECOND - 1, 2, 1)
    counts = counts[np.cumsum(counts) <= rows]
    every = sm.designs.biased(n, most, keep_rate=sm.keep_rates(keeps, n), seed=seed)
    first = sm.MaskDesign(every.masks[: len(counts)], every.seed, every.kind, every.keep_rates)
    return sm.evaluate(game, first, questions=counts, store=store, progress=False)


def _top(scores: Float64[np.ndarray, " n"], keeps: tuple[int, ...]) -> Bool[np.ndarray, "s n"]:
    return np.stack([ranked(scores, keep) for keep in keeps])
