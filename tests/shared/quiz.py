"""A game without a model whose answers to single questions are known."""

from __future__ import annotations

import numpy as np

import spex_mech as sm


class Quiz:
    """Linear effects and some pairs, shared by all questions, and others of each question's own.

    Args:
        n: number of players.
        questions: number of questions.
        own: size of what a question has for itself, beside 1 for what all share.
        mask_cost: tokens that a mask costs beside its questions, of one token each.
        seed: seed of the effects.

    Attributes:
        asked: every (mask, question) that was scored, in order.
    """

    metric_name = "margin"

    def __init__(
        self,
        n: int = 10,
        questions: int = 12,
        *,
        own: float = 0.5,
        mask_cost: float = 0.0,
        seed: int = 0,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.players = sm.PlayerSet.from_names(f"p{i}" for i in range(n))
        self.question_ids = tuple(f"q{j}" for j in range(questions))
        self.fingerprint = f"quiz {n} {questions} {own} {seed}"
        self.level = rng.normal(0, 3 * own, questions)
        self.effects = rng.normal(0, 1, n)
        self.own = own * rng.normal(0, 1, (questions, n))
        self.pairs = [rng.choice(n, 2, replace=False) for _ in range(n)]
        self.strength = rng.normal(0, 1, n)
        self.mask_cost = mask_cost
        self.asked: list[tuple[bytes, int]] = []

    def scores(self, masks):
        every = np.tile(np.arange(len(self.question_ids)), (len(masks), 1))
        return self.asked_scores(masks, every)

    def values_from_scores(self, scores):
        return scores.astype(np.float64).mean(axis=1)

    def __call__(self, masks):
        return self.values_from_scores(self.scores(masks))

    def asked_scores(self, masks, questions):
        self.asked += [
            (mask.tobytes(), int(q))
            for mask, row in zip(masks, questions, strict=True)
            for q in row
        ]
        shared = masks @ self.effects
        for (i, j), strength in zip(self.pairs, self.strength, strict=True):
            shared = shared + strength * (masks[:, i] & masks[:, j])
        own = self.level[questions] + np.einsum("mn,mqn->mq", masks, self.own[questions])
        return (shared[:, None] + own).astype(np.float32)

    def per_asked(self, scores, questions):
        assert scores.shape == questions.shape
        return scores.astype(np.float64)

    def per_example(self, scores, *, metric=None):
        return scores.astype(np.float64)

    def asking_cost(self):
        return self.mask_cost, 1.0
