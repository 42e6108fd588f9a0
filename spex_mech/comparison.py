"""Pruned models against baselines: chosen on one set of questions, compared on another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spex_mech.decoders import decode
from spex_mech.designs import MaskDesign
from spex_mech.errors import InputError
from spex_mech.evaluation import Run, evaluate
from spex_mech.executors import Executor
from spex_mech.pruning import Pruned, best_of_random, prune, ranked
from spex_mech.spectrum import Spectrum
from spex_mech.stats import Estimate, bootstrap_mean, paired_difference
from spex_mech.task_game import TaskGame
from spex_mech.types import ValueFunction

OURS, LASSO, RANDOM = "ours", "lasso ranking", "best of random"
METRICS = ("accuracy", "margin")


@dataclass(frozen=True, eq=False)
class Choice:
    """A kept set that one method chose."""

    method: str
    keep: int
    pruned: Pruned


@dataclass(frozen=True, eq=False)
class Point:
    """One method at one size, on questions that its search never saw.

    Attributes:
        choice: the method, the size and the kept set.
        metrics: metric name to its mean on the test questions with an interval.
        gains: metric name to the paired difference to ours (ours minus this); empty for ours.
    """

    choice: Choice
    metrics: dict[str, Estimate]
    gains: dict[str, Estimate]


def choose(
    game: ValueFunction,
    run: Run,
    spectrum: Spectrum,
    *,
    keep: int,
    validate: int,
    random_budget: int,
    seed: int,
) -> list[Choice]:
    """Our kept set and the baselines' at one size.

    Args:
        game: the game on the search questions.
        run: its evaluated design, which the LASSO ranking is fitted to.
        spectrum: what was decoded from it.
        keep: number of players to keep.
        validate: true ablations that ours spends on checking and improving.
        random_budget: true ablations that random search spends.
        seed: seed of the searches.
    """
    ours = prune(game, spectrum, keep=keep, validate=validate, seed=seed)
    first = decode(run.design, run.values, method="lasso", seed=seed, order=1)
    # A player that helps has a negative first-order coefficient.
    ranking = ranked(np.array([-first[(i,)] for i in range(spectrum.n)]), keep)
    lasso = Pruned(ranking, float(first(ranking[None])[0]), None, 0)
    lucky = best_of_random(game, spectrum.n, keep=keep, budget=random_budget, seed=seed + keep)
    return [Choice(OURS, keep, ours), Choice(LASSO, keep, lasso), Choice(RANDOM, keep, lucky)]


def compare(
    game: TaskGame,
    choices: list[Choice],
    *,
    seed: int,
    store: Path | None = None,
    progress: bool | None = None,
    executor: str | Executor = "local",
) -> tuple[dict[str, Estimate], list[Point]]:
    """Score every kept set once on questions that no search saw.

    Args:
        game: the game on those questions.
        choices: kept sets; every size has one by ``ours``.
        seed: seed of the bootstrap.
        store: folder to keep the evaluations in; see `evaluate`.
        progress: see `evaluate`.
        executor: see `evaluate`.

    Returns:
        The full model's metrics, and a point for each choice.
    """
    masks = np.stack([np.ones(game.players.n, dtype=bool), *[c.pruned.mask for c in choices]])
    design = MaskDesign(masks=masks, seed=seed)
    scores = evaluate(
        game, design, store=store, executor=executor, progress=progress, label="test"
    ).scores
    if scores is None:
        raise InputError("the game keeps no scores of its examples; compare on a TaskGame")
    tables = {name: game.per_example(scores, metric=name) for name in METRICS}
    full = {name: bootstrap_mean(table[0], seed=seed) for name, table in tables.items()}
    ours = {c.keep: row for row, c in enumerate(choices, 1) if c.method == OURS}
    points = []
    for row, choice in enumerate(choices, 1):
        metrics = {name: bootstrap_mean(table[row], seed=seed) for name, table in tables.items()}
        gains = {
            name: paired_difference(table[ours[choice.keep]], table[row], seed=seed)
            for name, table in tables.items()
            if choice.method != OURS
        }
        points.append(Point(choice, metrics, gains))
    return full, points
