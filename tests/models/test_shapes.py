"""Numbers of layers and heads are what the config says, and players follow them."""

from __future__ import annotations

import pytest
import transformers
from tiny_decoders import CONFIGS, tiny_decoder

import spex_mech as sm
from spex_mech.core.errors import InputError

KV_HEADS = {
    "llama": 2,
    "gemma": 1,
    "gpt2": 4,
    "falcon-7b-mqa": 1,
    "falcon-40b-gqa": 2,
    "falcon-rw-alibi": 4,
    "gpt-bigcode-mqa": 1,
    "deepseek-v3": 4,
    "jamba": 2,
}
MIDDLE = ("jamba", "lfm2", "qwen3-next", "granite-hybrid")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", KV_HEADS)
def test_key_value_heads(name):
    shape = sm.load_model(tiny_decoder(name)).shape
    assert (shape.n_layers, shape.n_heads, shape.n_kv_heads) == (2, 4, KV_HEADS[name])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MIDDLE)
def test_hybrids_offer_the_heads_of_their_attention(name):
    model = sm.load_model(tiny_decoder(name))
    assert sm.select_players(model, "heads").names == [f"L1H{h}" for h in range(4)]
    assert sm.select_players(model, "kv:1 mlps").names == [
        "L1KV0",
        "L1KV1",
        "L0MLP",
        "L1MLP",
    ]
    assert sm.select_players(model, "layers").names == ["L1"]
    with pytest.raises(InputError, match=r"'heads:0-1' ask layer 0 .* with attention are 1$"):
        sm.select_players(model, "heads:0-1")


def test_key_value_heads_that_do_not_divide_the_heads_are_refused():
    hf = tiny_decoder("llama")
    hf.config.num_key_value_heads = 3
    with pytest.raises(InputError, match="4 attention heads in a layer and 3 key/value heads"):
        sm.load_model(hf)


@pytest.mark.parametrize("global_kv_heads", [1, None])
def test_layers_with_other_numbers_of_heads_are_refused(global_kv_heads):
    config = transformers.Gemma4TextConfig(
        vocab_size=61,
        vocab_size_per_layer_input=61,
        hidden_size=32,
        hidden_size_per_layer_input=8,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        layer_types=["sliding_attention", "full_attention"],
        global_head_dim=16,
        attention_k_eq_v=True,
        num_global_key_value_heads=global_kv_heads,
    )
    hf = transformers.Gemma4ForCausalLM(config)
    if global_kv_heads is None:
        assert sm.load_model(hf).shape.n_kv_heads == 2
        return
    with pytest.raises(InputError, match="models whose layers differ are not supported"):
        sm.load_model(hf)


def test_a_config_without_attention_layers_is_refused():
    hf = tiny_decoder("lfm2")
    hf.config.layer_types = ["conv"] * 2
    with pytest.raises(InputError, match="has no layer with attention heads"):
        sm.load_model(hf)
    assert len(CONFIGS) == 65


@pytest.mark.filterwarnings("ignore")
def test_layers_with_mamba_beside_attention_offer_heads_but_are_not_removed_whole():
    config = transformers.FalconH1Config(
        vocab_size=61,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        mamba_d_ssm=64,
        mamba_n_heads=4,
        mamba_d_head=16,
        mamba_d_state=8,
        mamba_chunk_size=8,
    )
    model = sm.load_model(transformers.FalconH1ForCausalLM(config))
    task = sm.TokenTask([[3, 4, 5, 6]], answers=[[3, 4]])
    assert sm.TaskGame(model, task, sm.select_players(model)).scores([[True] * 8]).shape == (
        1,
        1,
        2,
    )
    with pytest.raises(InputError, match="they have Mamba beside attention"):
        sm.TaskGame(model, task, sm.select_players(model, "layers"))
