"""Prompts that begin alike get the reference's scores; test_work.py counts what is computed once."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_decoders import tiny_decoder

import spex_mech as sm
from spex_mech import ablation
from spex_mech.tasks.prompts import Prompts

BEGINNING, OTHER = (5, 9, 2, 7, 11, 3), (5, 9, 2, 8)
ENDS = (
    (*BEGINNING, 4, 6),
    (*BEGINNING, 4, 8),
    (*BEGINNING, 12, 4, 6),
    (*BEGINNING, 4, 6, 1, 13),
    (*OTHER, 3, 3),
    (14, *BEGINNING),
    OTHER,
)


def prompts_of(prefix: int, form: str) -> Prompts:
    """Seven prompts after a shared prefix; all but one begin like others."""
    shared = tuple(range(20, 20 + prefix))
    tokens = tuple((*shared, *end) for end in ENDS)
    rows = len(tokens)
    answers, targets = None, None
    if form == "answers":
        answers = np.random.default_rng(0).integers(1, 60, (rows, 3))
    elif form == "targets":
        targets = np.array([2, 3, 4, 1, 2, 3, 1])
    ids, right = tuple(map(str, range(rows))), np.zeros(rows, dtype=np.int64)
    return Prompts(ids, tokens, answers, right, targets=targets)


def masks_of(n: int) -> np.ndarray:
    masks = np.random.default_rng(1).random((3, n)) < 0.6
    masks[0] = True
    return masks


@pytest.fixture(scope="module", params=["llama", "gemma2-window"])
def model(request) -> sm.Model:
    return sm.load_model(tiny_decoder(request.param))


CASES = [("answers", 5), ("targets", 0), ("sequences", 0)]


@pytest.mark.parametrize(("form", "prefix"), CASES)
@pytest.mark.parametrize("spec", ["heads mlps", "heads:1"])
def test_scores_and_pairs_are_those_of_the_reference(model, form, prefix, spec):
    prompts, players = prompts_of(prefix, form), sm.select_players(model, spec)
    masks = masks_of(players.n)
    every = np.stack(np.meshgrid(range(len(masks)), range(len(ENDS)), indexing="ij"), axis=-1)
    for how, tokens in (
        (ablation.zero(), 12),
        (ablation.mean(), None),
    ):  # 12 cut batches and blocks
        expected = ablation.ReferenceEngine(model, prompts, players, how).scores(masks)
        engine = ablation.FastEngine(model, prompts, players, how, tokens=tokens)
        np.testing.assert_allclose(engine.scores(masks), expected, atol=2e-5)
        pairs = engine.pair_scores(masks, every.reshape(-1, 2))
        np.testing.assert_allclose(pairs.reshape(expected.shape), expected, atol=2e-5)
