"""Rankings of players at a budget of rows, ours and its rivals, all on the same questions of one game.

A row is one question asked under one mask. A forward pass of the whole model on one question is a row, and a
backward pass is two. Methods that ask every question of a mask get as many questions as the rows pay for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

import spex_mech as sm
from spex_mech.ablation import gate_gradients
from spex_mech.decoders.decode import decode
from spex_mech.evaluation.asked import ask_design
from spex_mech.evaluation.evaluated import Run
from spex_mech.evaluation.questions import choose_questions
from spex_mech.pruning.compare import METHODS
from spex_mech.pruning.methods import Metered, Problem, stratified_knock_outs

OURS, PROXYSPEX, LASSO = "ours (auto)", "ProxySPEX", "LASSO"
KEEP_RATE = (0.5, 0.95)
GameOf = Callable[[int], sm.TaskGame]
"""From a number of questions to the game of the first ones."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """What a method has found at a budget.

    Attributes:
        scores: float64 (n,), higher = more likely a part of the circuit.
        rows: what was spent.
        spectrum: what was decoded; None for a method that decodes nothing.
    """

    scores: np.ndarray
    rows: int
    spectrum: sm.Spectrum | None = None


def total_effects(spectrum: sm.Spectrum) -> np.ndarray:
    """Mean square of what the presence of each player changes, (n,), over masks like those that were asked.

    A part that others can replace changes little while they are there and much where they are not, which
    this counts too. Nothing is asked for it: the changes are those of the spectrum's predictions.
    """
    n = spectrum.n
    masks = sm.designs.biased(n, 256, keep_rate=KEEP_RATE, seed=0).masks
    changes = []
    for player in np.eye(n, dtype=bool):
        changes.append(spectrum(masks | player) - spectrum(masks & ~player))
    return np.square(changes).mean(axis=1)


def decoded(game: sm.TaskGame, rows: int, seed: int) -> dict[str, Ranking]:
    """Ours, ProxySPEX and LASSO on the same random masks, each asked one or two questions."""
    run = sparse_run(game, rows, seed)
    rankings = {}
    for name, method in ((OURS, "auto"), (PROXYSPEX, "proxyspex"), (LASSO, "lasso")):
        options = {"order": 1} if method == "lasso" else {}
        spectrum = decode(run.design, run, method=method, seed=seed, **options)
        scores = total_effects(spectrum)
        if method == "lasso":
            scores = np.array([-spectrum[(i,)] for i in range(spectrum.n)])
        rankings[name] = Ranking(scores, run.rows, spectrum)
    return rankings


def sparse_run(game: sm.TaskGame, rows: int, seed: int) -> Run:
    """Random masks with few questions each, for so many rows at most."""
    choice = choose_questions(game.asking_cost(), len(game.question_ids), None).spread(rows)
    counts = choice.counts(choice.masks(rows))
    counts = counts[np.cumsum(counts) <= rows]
    masks = sm.designs.biased(game.players.n, len(counts), keep_rate=KEEP_RATE, seed=seed)
    return ask_design(game, masks, counts)


def rivals(game_of: GameOf, rows: int, seed: int, questions: int) -> dict[str, Ranking]:
    """Every rival that does not decode random masks; one that the rows are too few for is left out."""
    rankings: dict[str, Ranking] = {}
    game = game_of(questions)
    n = game.players.n
    least = 2 if game.ablation.name == "resample" else 1  # the values of another question
    gradients: Mapping[str, tuple[Callable[[sm.TaskGame], np.ndarray], int]] = {
        "AtP": (gate_gradients.gate_gradients, gate_gradients.COST),
        "NAP-IG": (
            gate_gradients.integrated_gradients,
            gate_gradients.STEPS * gate_gradients.COST,
        ),
    }
    for name, (function, cost) in gradients.items():
        count = min(rows // cost, questions)
        if count >= least:
            rankings[name] = Ranking(function(game_of(count)).mean(axis=0), count * cost)
    searches = {
        "knock-out": (METHODS["knock-out"], n),
        "stratified knock-outs": (stratified_knock_outs(0.125), 2 * n),
        "greedy removal": (METHODS["greedy removal"], n * (n + 1) // 2),
    }
    for name, (method, masks) in searches.items():
        count = min(rows // masks, questions)
        if count < least:
            continue
        budget = rows // count
        meter = Metered(game_of(count), budget)
        kept = method(Problem(meter, tuple(range(n - 1, 0, -1)), seed))
        rankings[name] = Ranking(np.sum([k.mask for k in kept], axis=0) * 1.0, meter.rows)
    return rankings
