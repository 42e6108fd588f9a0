"""Compact models of more families: the dense model's answers, with and without cache, and from a folder."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import transformers

import spex_mech as sm
from spex_mech.ablation.gates import spread
from spex_mech.core.errors import InputError
from spex_mech.exporting.dense import dense_state
from spex_mech.exporting.export import compact_model
from spex_mech.exporting.parameters import parameter_limit
from spex_mech.models.modeling_compact import FAMILIES

SMALL = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ALL_HEADS = {k: v for k, v in SMALL.items() if k != "num_key_value_heads"}
WINDOWS = {
    "sliding_window": 4,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
}
CONFIGS = {
    "arcee": lambda: transformers.ArceeConfig(**SMALL),
    "ernie4.5": lambda: transformers.Ernie4_5Config(**SMALL, head_dim=16, use_bias=True),
    "gemma3": lambda: transformers.Gemma3TextConfig(**SMALL, **WINDOWS, head_dim=16),
    "granite": lambda: transformers.GraniteConfig(
        **SMALL, embedding_multiplier=3.0, residual_multiplier=0.4, logits_scaling=0.5
    ),
    "olmo2": lambda: transformers.Olmo2Config(**SMALL, attention_bias=True),
    "olmo3": lambda: transformers.Olmo3Config(**SMALL, **WINDOWS),
    "phi3": lambda: transformers.Phi3Config(**SMALL, sliding_window=4),
    "pythia": lambda: transformers.GPTNeoXConfig(**ALL_HEADS),
    "pythia in series": lambda: transformers.GPTNeoXConfig(
        **ALL_HEADS, use_parallel_residual=False
    ),
    "seed-oss": lambda: transformers.SeedOssConfig(**SMALL, head_dim=16),
    "smollm3": lambda: transformers.SmolLM3Config(**SMALL, no_rope_layers=[1, 0, 1]),
    "stablelm": lambda: transformers.StableLmConfig(**SMALL, use_qkv_bias=True),
    "starcoder2": lambda: transformers.Starcoder2Config(**SMALL, sliding_window=4),
}
IDS = torch.from_numpy(np.random.default_rng(0).integers(3, 61, (3, 9)))
GREEDY = {"max_new_tokens": 5, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}


def model_of(config: transformers.PretrainedConfig) -> sm.Model:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        hf = transformers.AutoModelForCausalLM.from_config(config)
        for name, parameter in hf.named_parameters():
            if parameter.ndim == 2 and "embed" not in name:
                torch.nn.init.normal_(parameter, std=0.2)
            elif name.endswith("bias"):
                torch.nn.init.normal_(parameter)
            elif "q_norm" in name or "k_norm" in name:
                torch.nn.init.normal_(parameter, mean=1.0, std=0.5)
    return sm.load_model(hf)


def dense_of(model: sm.Model, players: sm.PlayerSet, mask: np.ndarray) -> torch.nn.Module:
    dense = type(model.hf)(model.hf.config).eval()
    dense.load_state_dict(dense_state(model, spread(players, model.shape, mask[None]), False))
    return dense


def masks_of(players: sm.PlayerSet, spec: str) -> list[np.ndarray]:
    """Uneven groups with a layer that has no head and one that has no MLP; half of the groups; a layer."""
    if spec != "heads mlps":
        return [np.arange(players.n) % 2 == 1]
    gone = ("L1H0", "L1H1", "L1H2", "L1H3", "L0H1", "L2H2", "L2H3", "L0MLP")
    return [np.array([name not in gone for name in players.names])]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("spec", ["heads mlps", "kv", "layers"])
def test_a_compact_model_answers_like_the_dense_one(name, spec):
    model = model_of(CONFIGS[name]())
    players = sm.select_players(model, spec)
    for mask in masks_of(players, spec):
        small, dense = compact_model(model, players, mask), dense_of(model, players, mask)
        small = copy.deepcopy(small)  # as fine-tuning does
        with torch.no_grad():
            ours, theirs = small(IDS).logits, dense(IDS).logits
        scale = float(theirs.abs().max())
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4 * scale)
        for cache in (True, False):
            made = small.generate(IDS, use_cache=cache, **GREEDY)
            assert torch.equal(made, dense.generate(IDS, use_cache=False, **GREEDY))
        assert small.num_parameters() < dense.num_parameters()


@pytest.mark.parametrize("name", CONFIGS)
def test_a_compact_checkpoint_is_loaded_with_the_same_answers(name, tmp_path):
    model = model_of(CONFIGS[name]())
    players = sm.select_players(model, "heads mlps")
    (mask,) = masks_of(players, "heads mlps")
    folder = sm.export(model, players, mask, tmp_path / "small", mode="compact")
    again = transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    ours = sm.load_model(folder, tokenizer=object()).hf
    assert type(ours) is FAMILIES[type(model.hf)] and type(again).__name__ == type(ours).__name__
    with torch.no_grad():
        expected = dense_of(model, players, mask)(IDS).logits
        for hf in (ours, again.eval()):
            torch.testing.assert_close(
                hf(IDS).logits, expected, rtol=0, atol=1e-4 * float(expected.abs().max())
            )


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_are_counted_as_they_are_cut(name):
    model = model_of(CONFIGS[name]())
    for spec in ("heads:0-1 mlps", "layers:0 heads:1-2"):
        players = sm.select_players(model, spec)
        masks = np.random.default_rng(0).random((3, players.n)) < 0.5
        masks[0] = True
        counted = parameter_limit(model, players, 0).used(masks)
        built = [compact_model(model, players, mask).num_parameters() for mask in masks]
        np.testing.assert_array_equal(counted - counted[0], np.array(built) - built[0])


@pytest.mark.parametrize("name", ["gemma3", "smollm3", "granite", "phi3"])
def test_equal_layers_give_a_stock_model(name):
    model = model_of(CONFIGS[name]())
    players = sm.select_players(model, "heads")
    mask = np.array([player.index % 2 == 0 for player in players])
    small = compact_model(model, players, mask)
    assert type(small) is type(model.hf)
    with torch.no_grad():
        expected = dense_of(model, players, mask)(IDS).logits
        torch.testing.assert_close(
            small(IDS).logits, expected, rtol=0, atol=1e-4 * float(expected.abs().max())
        )


@pytest.mark.parametrize("option", ["use_parallel_residual", "qk_layernorm"])
def test_layers_that_are_not_plain_are_refused(option):
    model = model_of(transformers.StableLmConfig(**SMALL, **{option: True}))
    players = sm.select_players(model, "heads")
    with pytest.raises(InputError, match=rf"{option}.*mode='dense'"):
        compact_model(model, players, np.ones(players.n, dtype=bool))
