"""A model of which a part would be random, or a checkpoint of which a part is not used, is refused."""

from __future__ import annotations

import pytest
import torch
import transformers

import spex_mech as sm
from spex_mech.core.errors import InputError


def refused(folder, match, **options):
    with pytest.raises(InputError, match=match) as caught:
        sm.load_model(folder.path, device="cpu", **options)
    assert "save the whole LlamaForCausalLM, its head too" in str(caught.value)
    assert repr(str(folder.path)) in str(caught.value)


def without(*endings):
    return lambda found: {k: v for k, v in found.items() if not k.endswith(endings)}


def test_one_missing_weight_is_named(folder, capfd):
    folder.weights(without("layers.1.mlp.up_proj.weight"))
    refused(
        folder, r"lacks 1 weight \(model\.layers\.1\.mlp\.up_proj\.weight\) of LlamaFor.* random"
    )
    assert "LOAD REPORT" not in "".join(capfd.readouterr())


def test_many_missing_weights_are_counted(folder):
    folder.weights(without("q_proj.weight", "k_proj.weight"))
    refused(folder, r"lacks 6 weights \(.*0\.self_attn\.k_proj.*, .*, .* and 3 more\)")


def test_a_base_model_without_its_head(tiny_llama, folder):
    tiny_llama.hf.model.save_pretrained(folder.path)
    folder.set(architectures=["LlamaForCausalLM"])
    refused(folder, r"lacks 1 weight \(lm_head\.weight\)")


def test_a_tied_head_is_not_missing(folder):
    folder.weights(without("lm_head.weight"))
    refused(folder, "lm_head")
    folder.set(tie_word_embeddings=True)
    hf = sm.load_model(folder.path).hf
    assert hf.lm_head.weight is hf.model.embed_tokens.weight


def test_weights_without_a_place_are_named(folder):
    folder.weights(lambda found: {**found, "model.layers.0.extra.weight": torch.zeros(2)})
    refused(folder, r"holds 1 weight \(model\.layers\.0\.extra\.weight\) for which LlamaFor")


def test_more_layers_than_the_config_says(folder):
    folder.set(num_hidden_layers=2)
    refused(folder, r"holds 9 weights \(model\.layers\.2\.input_layernorm\.weight, .* and 6 more\)")


@pytest.mark.parametrize("options", [{}, {"ignore_mismatched_sizes": True}])
def test_sizes_that_the_config_does_not_have(folder, options):
    folder.set(vocab_size=62)
    refused(
        folder,
        r"holds 2 weights \(lm_head\.weight, model\.embed_tokens\.weight\) of other sizes than "
        r"config\.json says: lm_head\.weight is \(61, 32\), expected \(62, 32\)",
        **options,
    )


def test_all_faults_are_told_at_once(folder):
    folder.set(vocab_size=62)
    folder.weights(lambda found: {**without("up_proj.weight")(found), "extra": torch.zeros(1)})
    refused(folder, r"lacks 3 weights .*; it holds 1 weight \(extra\).*; it holds 2 weights")


def test_what_older_checkpoints_carry_is_let_through(folder, tmp_path):
    rotary = {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(4) for i in range(3)}
    folder.weights(lambda found: {**found, **rotary})
    sm.load_model(folder.path)
    config = transformers.GPTNeoConfig(
        vocab_size=61,
        hidden_size=32,
        num_layers=1,
        num_heads=4,
        attention_types=[[["global"], 1]],
        max_position_embeddings=16,
    )
    transformers.GPTNeoForCausalLM(config).save_pretrained(tmp_path / "m")
    older = {
        f"transformer.h.0.attn.attention.{name}": torch.ones(1) for name in ("bias", "masked_bias")
    }
    folder.weights(lambda found: {**found, **older})
    sm.load_model(folder.path)
