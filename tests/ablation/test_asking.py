"""A game that is asked some questions under each mask, against the same game asked all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.ablation.fast.batches import shared_prefix
from spex_mech.core.errors import InputError, NonFiniteScoreError
from spex_mech.core.games import AskedGame

SHARED_MODELS = True
IDS = np.random.default_rng(0).integers(1, 61, (5, 9))
ANSWERS = np.random.default_rng(1).integers(1, 61, (5, 3))


def asked(m: int, e: int, q: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(e)[:q] for _ in range(m)])


def agree(game: sm.TaskGame, q: int, metrics: tuple[str, ...], seed: int = 0) -> None:
    masks = np.random.default_rng(seed).random((5, game.players.n)) < 0.6
    masks = masks[[0, 1, 2, 0, 3, 4]]  # a mask that comes twice, with other questions
    questions = asked(len(masks), len(game.question_ids), q, seed)
    found, whole = game.asked_scores(masks, questions), game.scores(masks)
    rows = np.arange(len(masks))[:, None]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, whole[rows, questions], atol=1e-5)
    for metric in metrics:
        values = game.per_asked(found, questions, metric=metric)
        expected = game.per_example(whole, metric=metric)[rows, questions]
        assert values.dtype == np.float64
        np.testing.assert_allclose(values, expected, atol=1e-5)
    np.testing.assert_array_equal(
        game.per_asked(found, questions),
        game.per_asked(found, questions, metric=game.metric_name),
    )


@pytest.mark.parametrize("engine", ["fast", "reference"])
@pytest.mark.parametrize("q", [1, 2, 5])
def test_some_questions_score_as_among_all(tiny_llama, engine, q):
    task, players = sm.TokenTask(IDS, answers=ANSWERS), sm.select_players(tiny_llama)
    game = sm.TaskGame(tiny_llama, task, players, engine=engine, ablation="mean")
    assert isinstance(game, AskedGame)
    agree(game, q, ("accuracy", "margin", "logprob", "brier", "kl"))


def test_sequences_without_answers(tiny_llama):
    game = sm.TaskGame(tiny_llama, sm.TokenTask(IDS), sm.select_players(tiny_llama))
    agree(game, 2, ("logprob",))


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_questions_with_several_rows_and_metrics_by_length(engine):
    model = sm.load_model("embedded")
    task = sm.load_task("embedded/capitals", form="continuations").first(4)
    players = sm.select_players(model, "heads:2-3")
    game = sm.TaskGame(model, task, players, metric="margin_norm", engine=engine)
    agree(game, 2, ("margin_norm", "accuracy", "kl_norm"))
    fixed, each = game.asking_cost()
    prefix = shared_prefix(game.prompts) if engine == "fast" else 0
    tokens = sum(len(t) - prefix for t in game.prompts.tokens)
    assert (fixed, each) == (prefix, tokens / 4)


def test_options_that_a_question_does_not_have(tiny_llama):
    game = sm.TaskGame(tiny_llama, sm.TokenTask(IDS), sm.select_players(tiny_llama))
    prompts = replace(
        game.prompts,
        ids=("a", "b"),
        options=np.array([[0, 1, 2], [3, 4, -1]]),
        right=np.array([0, 1]),
    )
    game.prompts = prompts
    masks = np.random.default_rng(0).random((3, game.players.n)) < 0.5
    questions = np.array([[1], [0], [1]])
    found = game.asked_scores(masks, questions)
    np.testing.assert_allclose(
        found, game.scores(masks)[np.arange(3)[:, None], questions], atol=1e-5
    )
    assert found.shape == (3, 1, 3) and (found[[0, 2], 0, 2] == np.float32(-1e30)).all()


def test_equal_pairs_reach_the_engine_once(tiny_llama, monkeypatch):
    task = sm.TokenTask(IDS, answers=ANSWERS)
    game = sm.TaskGame(tiny_llama, task, sm.select_players(tiny_llama))
    masks = np.random.default_rng(1).random((3, game.players.n)) < 0.5
    seen, score = [], game._engine.pair_scores
    monkeypatch.setattr(
        game._engine, "pair_scores", lambda m, p: (seen.append((len(m), len(p))), score(m, p))[1]
    )
    questions = np.array([[0, 1], [1, 2], [1, 0], [3, 1]])
    scores = game.asked_scores(masks[[0, 1, 0, 2]], questions)
    assert seen == [(3, 6)]
    np.testing.assert_array_equal(scores[0], scores[2, ::-1])


def test_no_masks_have_no_scores(tiny_llama):
    task = sm.TokenTask(IDS, answers=ANSWERS)
    game = sm.TaskGame(tiny_llama, task, sm.select_players(tiny_llama))
    none, questions = np.ones((0, game.players.n), dtype=bool), np.zeros((0, 2), dtype=np.int64)
    scores = game.asked_scores(none, questions)
    assert scores.shape == (0, 2, 3) and game.per_asked(scores, questions).shape == (0, 2)


@pytest.mark.parametrize(
    ("questions", "why"),
    [
        ([[0.0], [1.0]], "dtype float64, expected int64"),
        ([[True], [False]], "dtype bool, expected int64"),
        ([0, 1], r"shape \(2,\), expected \(2, q\)"),
        ([[0]], r"shape \(1, 1\), expected \(2, q\)"),
        (np.zeros((2, 0), dtype=int), r"shape \(2, 0\), expected \(2, q\): q of at least 1"),
        ([[0], [5]], "question 5 does not exist; expected positions from 0 to 4"),
        ([[-1], [0]], "question -1 does not exist"),
        ([[0, 1], [2, 2]], "mask 1 is asked a question twice"),
    ],
)
def test_questions_that_cannot_be_asked(tiny_llama, questions, why):
    task = sm.TokenTask(IDS, answers=ANSWERS)
    game = sm.TaskGame(tiny_llama, task, sm.select_players(tiny_llama))
    with pytest.raises(InputError, match=why):
        game.asked_scores(np.ones((2, game.players.n), dtype=bool), questions)


def test_a_score_that_is_not_finite_names_mask_and_question(tiny_llama, monkeypatch):
    task = sm.TokenTask(IDS, answers=ANSWERS)
    game = sm.TaskGame(tiny_llama, task, sm.select_players(tiny_llama))
    masks = np.random.default_rng(1).random((3, game.players.n)) < 0.5
    score = game._engine.pair_scores

    def broken(todo: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        scores = score(todo, pairs)
        scores[(pairs[:, 0] == 2) & (pairs[:, 1] == 4)] = np.nan
        return scores

    monkeypatch.setattr(game._engine, "pair_scores", broken)
    with pytest.raises(NonFiniteScoreError, match=r"mask 2 .*example '4'; load the model in"):
        game.asked_scores(masks, np.array([[4, 0], [1, 2], [0, 4]]))
