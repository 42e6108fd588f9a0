"""The engine of a game is held to the model as it was loaded."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
import transformers
from tiny_decoders import last_logits, tiny_decoder

import spex_mech as sm
from spex_mech.ablation.full_model import batches
from spex_mech.ablation.head_statistics import attention_entropy, output_norm
from spex_mech.core.errors import InputError

IDS = np.random.default_rng(0).integers(3, 61, (3, 13))
REAL = np.arange(13)[None] < np.array([5, 13, 9])[:, None]
ANSWERS = np.random.default_rng(1).integers(3, 61, (3, 2))
LENGTHS = [5, 13, 9]


def game_of(model: sm.Model, **options) -> sm.TaskGame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        task = sm.TokenTask(IDS, REAL.astype(int), answers=ANSWERS)
        return sm.TaskGame(model, task, sm.select_players(model), **options)


def expected(model: sm.Model) -> np.ndarray:
    prompts = [IDS[row, :length].tolist() for row, length in enumerate(LENGTHS)]
    return np.take_along_axis(last_logits(model.hf, prompts), ANSWERS, axis=1)


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_an_engine_that_differs_from_hugging_face_is_refused(monkeypatch, engine):
    model = sm.load_model(tiny_decoder("llama"))
    _ = model.bridge  # which would copy the change
    plain = model.hf.forward

    def other(*args, **options):
        out = plain(*args, **options)
        return type(out)(logits=out.logits + 0.01 * (args[0].shape[1] == 13))

    monkeypatch.setattr(model.hf, "forward", other)
    game = game_of(model, engine=engine)
    with pytest.raises(
        InputError, match=r"example '1', with nothing removed, .* use another model"
    ):
        game.scores(np.ones((1, 8), dtype=bool))


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_a_model_is_run_once_for_the_same_prompts(monkeypatch, engine):
    model = sm.load_model(tiny_decoder("llama"))
    _ = model.bridge  # which would copy the change
    plain, lengths = model.hf.forward, []

    def counted(ids, **options):
        lengths.append(ids.shape[1])
        return plain(ids, **options)

    monkeypatch.setattr(model.hf, "forward", counted)
    for kind in ("zero", "mean", "zero"):
        game_of(model, engine=engine, ablation=kind).scores(np.ones((1, 8), dtype=bool))
    assert lengths == [5, 13]


def test_sequences_are_held_too():
    model = sm.load_model(tiny_decoder("qwen2"))
    game = sm.TaskGame(model, sm.TokenTask(IDS), sm.select_players(model))
    assert np.isfinite(game.scores(np.ones((1, 8), dtype=bool))).all()


LONG = {
    "rope_type": "longrope",
    "rope_theta": 10_000.0,
    "short_factor": [1.0] * 4,
    "long_factor": [4.0] * 4,
    "original_max_position_embeddings": 8,
}


def longrope() -> sm.Model:
    hf = tiny_decoder("phi3", rope_parameters=LONG, original_max_position_embeddings=8)
    return sm.load_model(hf)


@pytest.mark.parametrize("kind", ["zero", "mean"])
def test_short_prompts_keep_their_angles_beside_long_ones(kind):
    model = longrope()
    game = game_of(model, ablation=kind)
    full = game.scores(np.ones((1, 8), dtype=bool))[0]
    np.testing.assert_allclose(full, expected(model), atol=1e-4)
    # The long factors matter: the short prompt scores otherwise with them.
    model.hf.model.rotary_emb.original_inv_freq = model.hf.model.rotary_emb.long_inv_freq
    assert np.abs(expected(model)[0] - full[0]).max() > 1e-3


def test_gate_gradients_keep_short_and_long_prompts_apart():
    game = game_of(longrope())
    assert [batch.rows.tolist() for batch in batches(game)] == [[0], [2, 1]]


def test_donors_on_both_sides_of_the_original_length_are_refused():
    with pytest.raises(InputError, match="other rotary angles"):
        game_of(longrope(), ablation="resample")


def test_dynamic_angles_do_not_reach_the_prompts_of_a_game():
    hf = tiny_decoder(
        "llama",
        rope_parameters={"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 4.0},
        max_position_embeddings=13,
    )
    model = sm.load_model(hf)
    game = game_of(model)
    angles = hf.model.rotary_emb.inv_freq.clone()
    full = game.scores(np.ones((1, 8), dtype=bool))[0]
    np.testing.assert_allclose(full, expected(model), atol=1e-4)
    assert torch.equal(angles, hf.model.rotary_emb.inv_freq)
    with pytest.raises(InputError, match="context holds 13"):
        sm.TaskGame(model, sm.TokenTask(np.ones((1, 14), dtype=int)), game.players)


def test_float64_is_right_or_refused_in_one_sentence():
    model = sm.load_model(tiny_decoder("llama", torch.float64))
    full = game_of(model).scores(np.ones((1, 8), dtype=bool))[0]
    np.testing.assert_allclose(full, expected(model), rtol=1e-5)
    experts = sm.load_model(tiny_decoder("mixtral", torch.float64))
    with pytest.raises(InputError, match=r"in float64 .*; load it with dtype=torch.float32"):
        game_of(experts).scores(np.ones((1, 8), dtype=bool))


def test_what_transformer_lens_does_not_know_is_refused_when_the_game_is_made():
    transformers.logging.set_verbosity_error()
    model = sm.load_model(tiny_decoder("helium"))
    with pytest.raises(
        InputError, match=r"HeliumForCausalLM that cannot be ablated: TransformerLens"
    ):
        game_of(model)


def test_rankings_of_heads_know_latent_attention_and_say_what_they_do_not_see():
    game = game_of(sm.load_model(tiny_decoder("deepseek-v3")))
    assert (output_norm(game) > 0).all()
    hidden = game_of(sm.load_model(tiny_decoder("opt")))
    with pytest.raises(
        InputError, match=r"attention entropy of .* in layer 0; leave this baseline out"
    ):
        attention_entropy(hidden)
