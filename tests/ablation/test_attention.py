"""Attention patterns: those of Hugging Face's own code, with names, tokens and refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import spex_mech as sm
from spex_mech.core.attention import AttentionPattern, pattern_from_json, pattern_to_json


@pytest.fixture(scope="module")
def game():
    """The embedded model on six questions."""
    model = sm.load_model("embedded")
    task = sm.load_task("embedded/people").first(6)
    return sm.TaskGame(model, task, sm.select_players(model, "heads"))


def test_patterns_are_those_of_the_model_itself(game):
    first, second = sm.attention_patterns(game, ["L3H1", "L0H2"], questions=[4, 0])
    assert first.heads == second.heads == ("L3H1", "L0H2")
    ids = torch.tensor([game.prompts.tokens[4]])
    hf = sm.load_model("embedded").hf  # a model of its own, since its hooks for this output stay
    hf.set_attn_implementation("eager")
    with torch.no_grad():
        own = hf(ids, output_attentions=True).attentions
    np.testing.assert_allclose(first.weights[0], own[3][0, 1], atol=2e-5)
    np.testing.assert_allclose(first.weights[1], own[0][0, 2], atol=2e-5)


def test_tokens_are_the_prompt_as_text_and_attention_is_causal(game):
    (pattern,) = sm.attention_patterns(game, questions=1)
    assert len(pattern.heads) == 32
    question = game.task.select("search")[0]
    letters = "".join("".join(pattern.tokens).split())
    assert letters.endswith("".join(question.prompt.split()))
    assert np.triu(pattern.weights, 1).max() == 0
    np.testing.assert_allclose(pattern.weights.sum(axis=-1), 1, atol=1e-5)


def test_a_group_shows_each_of_its_query_heads(game):
    model = game.model
    groups = sm.TaskGame(model, game.task, sm.select_players(model, "kv:0"))
    (pattern,) = sm.attention_patterns(groups, questions=1)
    assert pattern.heads == tuple(f"L0H{h}" for h in range(model.shape.n_heads))


def test_a_long_prompt_keeps_its_last_position(game):
    ids = np.arange(5, 75)[None]
    task = sm.TokenTask(ids, answers=[[7, 8]])
    long = sm.TaskGame(game.model, task, sm.select_players(game.model, "heads:1"))
    (pattern,) = sm.attention_patterns(long, questions=1)
    assert pattern.weights.shape == (pattern.weights.shape[0], 1, 70)


def test_what_has_no_pattern_is_refused(game):
    model = game.model
    mlps = sm.TaskGame(model, game.task, sm.select_players(model, "mlps"))
    with pytest.raises(sm.InputError, match="heads and key/value groups"):
        sm.attention_patterns(mlps)
    with pytest.raises(sm.InputError, match="no player 'L99H0'"):
        sm.attention_patterns(game, ["L99H0"])
    for questions in (0, 7, [], [-1]):
        with pytest.raises(sm.InputError, match="counted from 0"):
            sm.attention_patterns(game, questions=questions)


def test_a_pattern_goes_to_json_and_back_and_names_its_strongest_tokens():
    weights = np.array([[[1, 0, 0], [0.5, 0.5, 0], [0.125, 0.625, 0.25]]], dtype=np.float32)
    pattern = AttentionPattern(("L0H0",), ("<a>", "b", "c"), weights)
    back = pattern_from_json(json.loads(json.dumps(pattern_to_json(pattern))))
    np.testing.assert_array_equal(back.weights, weights)
    assert back.last.weights.shape == (1, 1, 3)
    assert pattern.strongest("L0H0") == [("b", 0.625), ("c", 0.25)]
    with pytest.raises(sm.InputError, match="no head 'L0H1'"):
        pattern.of(["L0H1"])
    with pytest.raises(sm.InputError, match="expected"):
        AttentionPattern(("L0H0",), ("a",), weights)
    with pytest.raises(ValueError, match="from 0 to 1"):
        pattern_from_json({**pattern_to_json(pattern), "weights": [[[2.0, 0, 0]]]})
