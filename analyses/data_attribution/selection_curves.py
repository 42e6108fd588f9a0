"""Selecting training examples under a budget: the pruned game against baselines, over several draws."""

from __future__ import annotations

from pathlib import Path

import choices
import numpy as np
from problem import build

import spex_mech as sm
from spex_mech import training_data as td

DRAWS, POOL, COPIES, WRONG = 5, 200, 40, 20
SIZES = (20, 40, 60, 100, 140)
TRAININGS, RATES, SEEDS = 1000, (0.08, 0.7), (50, 51, 52)
RECIPE = td.Recipe(epochs=40, batch=32, rate=0.1)


def pool(draw: int) -> tuple[td.Examples, td.Examples, td.Examples]:
    """A pool of 200, 300 validation points and 600 test points.

    The pool is 160 digits, 20 of them mislabelled, and noisy copies of 40 of the 160. The selection may
    look at the validation points, not at the test points.
    """
    base, validation, test = td.digits(POOL - COPIES, 300, 600, seed=1000 + draw)
    rng = np.random.default_rng(draw)
    labels = base.labels.copy()
    wrong = rng.permutation(len(base))[:WRONG]
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, WRONG)) % 10
    copied = rng.permutation(len(base))[:COPIES]
    noise = rng.normal(scale=0.05, size=base.inputs[copied].shape)
    copies = np.clip(base.inputs[copied] + noise, 0.0, 1.0)
    train = td.Examples(
        np.concatenate([base.inputs, copies]),
        np.concatenate([labels, labels[copied]]),
        base.classes,
    )
    return train, validation, test


def selection(out: Path, here: Path) -> None:
    """All methods and sizes of every draw; the table goes on where it stopped."""
    path = here / "selection.csv"
    done = choices.draws_in(path)
    for draw in range(DRAWS):
        if draw not in done:
            choices.add_rows(path, one(draw, out))
            print(draw, flush=True)
    choices.summary(path, here)


def one(draw: int, out: Path) -> list[tuple[int, str, int, str]]:
    """One draw: choose by the validation points, then train anew and ask the test points."""
    train, validation, test = pool(draw)
    trainer = td.TorchTrainer(build, RECIPE)
    game = td.TrainingGame(trainer, train, validation, value="loss")
    design = sm.designs.biased(POOL, TRAININGS, keep_rate=RATES, seed=draw)
    run = sm.evaluate(game, design, store=out / f"selection-{draw}", batch=256)
    ours = sm.decode(design, run.values, method="proxyspex", seed=0)
    linear = sm.decode(design, run.values, method="lasso", seed=0, order=1)
    losses = td.own_losses(game)
    chosen: list[choices.Choice] = []
    for keep in SIZES:
        chosen += choices.of_the_game(game, ours, linear, keep, seed=draw)
        chosen += choices.of_the_examples(train, losses, keep, seed=draw)
    final = td.TrainingGame(trainer, train, test, value="accuracy", seeds=SEEDS)
    return choices.rows_of(draw, chosen, final(np.stack([mask for _, _, mask in chosen])))
