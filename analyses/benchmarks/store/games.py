"""Games whose evaluation is stored here."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np

import spex_mech as sm


class Scores:
    """Scores like those of 100 two-choice questions and 64 players, without a model."""

    metric = SimpleNamespace(name="margin")
    task = SimpleNamespace(name="random scores", examples=())
    prompts = SimpleNamespace(
        ids=tuple(str(i) for i in range(100)),
        tokens=((0,) * 400,) * 100,
        right=np.zeros(100, dtype=np.int64),
        answers=np.tile([1, 2], (100, 1)),
        options=None,
        lengths=None,
    )
    fingerprint = "random scores"

    def __init__(self, seconds: float = 0.0) -> None:
        self.players = sm.PlayerSet.from_names(f"p{i}" for i in range(64))
        self.seconds = seconds

    def scores(self, masks):
        """Random scores (m, 100, 2)."""
        if self.seconds:
            time.sleep(self.seconds * len(masks))
        rng = np.random.default_rng(int(masks[0].sum()))
        return rng.standard_normal((len(masks), 100, 2), dtype=np.float32)

    def values_from_scores(self, scores):
        """Mean margins (m,)."""
        return (scores[..., 0] - scores[..., 1]).mean(axis=1, dtype=np.float64)

    def __call__(self, masks):
        """Values (m,)."""
        return self.values_from_scores(self.scores(masks))


class Computing(Scores):
    """The same scores' shapes from small matrix products, some milliseconds of a processor per mask."""

    fingerprint = "computing"

    def __init__(self, work: int) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        self.work, self.matrix = work, rng.normal(size=(96, 96)) / 10
        self.first, self.last = rng.normal(size=(96, 64)), rng.normal(size=(200, 96))

    def scores(self, masks):
        """Scores (m, 100, 2); a mask's do not depend on the others."""
        out = np.empty((len(masks), 100, 2), dtype=np.float32)
        for i, mask in enumerate(masks):
            x = self.first * mask
            for _ in range(self.work):
                x = np.tanh(self.matrix @ x)
            out[i] = (self.last @ x).sum(axis=1).reshape(100, 2)
        return out


def embedded_game(examples: int, dtype=None, engine: str = "fast") -> sm.TaskGame:
    """The embedded model on some questions; its engine has proven itself."""
    model = sm.load_model("embedded", **({} if dtype is None else {"dtype": dtype}))
    task = sm.load_task("embedded/people").first(examples)
    game = sm.TaskGame(model, task, sm.select_players(model, "heads"), engine=engine)
    game.scores(np.ones((1, game.players.n), dtype=bool))
    return game
