"""Prompts, masks and ablations that engines are compared on."""

from __future__ import annotations

import numpy as np

from spex_mech import ablation
from spex_mech.tasks.prompts import Prompts

ABLATIONS = {
    "zero": ablation.zero(),
    "rescale": ablation.zero(rescale=True),
    "mean": ablation.mean(),
    "resample": ablation.resample(seed=3),
    "counterfactual": ablation.counterfactual(),
}


def prompts_of(prefix: int, form: str = "answers", seed: int = 0) -> Prompts:
    """Six prompts of 5 to 13 tokens after a shared prefix; the second equals the first."""
    rng = np.random.default_rng(seed)
    shared = rng.integers(1, 61, prefix).tolist()
    own = [rng.integers(1, 61, length).tolist() for length in (9, 5, 13, 6, 7)]
    tokens = tuple(tuple(shared + t) for t in (own[0], *own))
    partners = tuple(tuple(rng.integers(1, 61, len(t)).tolist()) for t in tokens)
    rows = len(tokens)
    ids = tuple(str(i) for i in range(rows))
    right = np.zeros(rows, dtype=np.int64)
    if form == "answers":
        answers = rng.integers(1, 61, (rows, 3))
        answers[1] = answers[0][::-1]  # equal prompts may ask for different answers
        return Prompts(ids, tokens, answers, right, partners=partners)
    targets = None if form == "sequences" else np.array([3, 1, 2, 4, 1, 2])
    return Prompts(ids, tokens, None, right, targets=targets, partners=partners)


def masks_of(n: int, count: int = 6, seed: int = 1) -> np.ndarray:
    masks = np.random.default_rng(seed).random((count, n)) < 0.6
    masks[0], masks[1] = True, False
    return masks
