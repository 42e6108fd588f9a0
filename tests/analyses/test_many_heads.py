"""The model of 1,024 heads: questions have the answers that their facts give, and training saves a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.shared.scripts import modules_of

HERE = Path(__file__).parents[2] / "analyses" / "benchmarks" / "walsh_gp"


@pytest.fixture
def many_heads():
    with modules_of(HERE, ("many_heads",)) as module:
        yield module("many_heads")


def test_the_answers_follow_from_the_facts(many_heads):
    keys = many_heads.KEYS
    ids, answers = many_heads.sequences(50, 8, np.random.default_rng(0))
    for row, right in zip(ids.tolist(), answers.tolist(), strict=True):
        facts = dict(divmod(token, keys) for token in row[:keys])
        assert set(facts) == set(range(keys))
        for query, answer in zip(row[keys:], right, strict=True):
            if query < many_heads.HOPS:
                value = facts[query - many_heads.QUERY]
            else:
                value = facts[facts[query - many_heads.HOPS]]
            assert answer == many_heads.ANSWER + value


def test_wrong_answers_are_answers_and_wrong(many_heads):
    ids, answers = many_heads.questions(200, 0)
    assert ids.shape == (200, many_heads.KEYS + 1) and answers.shape == (200, 2)
    assert (answers[:, 0] != answers[:, 1]).all()
    assert answers.min() >= many_heads.ANSWER
    assert answers.max() < many_heads.ANSWER + many_heads.KEYS
    again, other = many_heads.questions(200, 0)[0], many_heads.questions(200, 1)[0]
    assert (ids == again).all() and (ids != other).any()


def test_training_gives_a_game_of_all_heads(many_heads, tmp_path, monkeypatch):
    monkeypatch.setattr(many_heads, "LAYERS", 2)
    monkeypatch.setattr(many_heads, "HEADS", 4)
    many_heads.train(tmp_path / "model", steps=150)
    game = many_heads.game(tmp_path / "model", 40)  # trained already
    assert game.players.n == 8
    margins = game.per_question(np.ones((1, 8), dtype=bool))
    assert (margins > 0).mean() > 0.6  # chance is .5, and untrained it is near that
