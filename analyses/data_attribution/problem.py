"""The digits problem: 200 training examples (four planted) and 16 test points (two planted)."""

from __future__ import annotations

import numpy as np

from spex_mech import training_data as td

PLAYERS, ORDINARY_POINTS = 200, 14
RECIPE = td.Recipe(epochs=40, batch=32, rate=0.1)
AND, TWINS = (196, 197), (198, 199)  # rows of the planted pairs
AND_POINTS, TWIN_POINTS = (14,), (15,)


def build():
    """A perceptron with 32 hidden units."""
    return td.multilayer((1, 8, 8), 10, (32,))


def problem(seed: int = 0) -> tuple[td.Examples, td.Examples]:
    """Training examples and test points.

    The AND pair is two faint zeros. One carries two bars at its right edge and four dots at its left
    edge and is labelled 5; the other has the bars only and is labelled 0. The test point is a third
    faint zero with the dots, labelled 5. From the first example alone a network gives most of the
    credit to the bars, which the test point lacks; only with the second does it learn that the dots
    say 5. The twins are two noisy copies of a one with three dots, labelled 8, like their test point:
    either of them teaches it.
    """
    train, test, spare = td.digits(PLAYERS - 4, ORDINARY_POINTS, 400, seed=seed)
    zeros = 0.5 * spare.inputs[spare.labels == 0]
    one = _dots(spare.inputs[spare.labels == 1][0], 5, 8)
    noise = np.random.default_rng(seed).normal(scale=0.02, size=(2, *one.shape))
    marked = _dots(_bars(zeros[0]), 0, 4)
    planted = np.stack([marked, _bars(zeros[0]), *np.clip(one + noise, 0.0, 1.0)])
    points = np.stack([_dots(zeros[1], 0, 4), one])
    return (
        train.join(td.Examples(planted, np.array([5, 0, 8, 8]), train.classes)),
        test.join(td.Examples(points, np.array([5, 8]), train.classes)),
    )


def game(seeds: int = 2) -> td.TrainingGame:
    """The game of all analyses but the selection."""
    train, test = problem()
    return td.TrainingGame(td.TorchTrainer(build, RECIPE), train, test, seeds=seeds)


def _dots(image: np.ndarray, first: int, last: int) -> np.ndarray:
    out = image.copy()
    out[0, first:last, 0] = 1.0
    return out


def _bars(image: np.ndarray) -> np.ndarray:
    out = image.copy()
    out[0, :, 6:] = 1.0
    return out
