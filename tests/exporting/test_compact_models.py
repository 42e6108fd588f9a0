"""A compact model answers like the masked and the dense one, in memory, on the cache, and padded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

import spex_mech as sm
from spex_mech.ablation.gates import spread
from spex_mech.exporting.dense import dense_state
from spex_mech.exporting.export import compact_model

IDS = torch.from_numpy(np.random.default_rng(0).integers(1, 61, (3, 9)))
PAIRS = np.random.default_rng(1).integers(1, 61, (3, 2))
LEFT = torch.ones_like(IDS)
LEFT[1, :2], LEFT[2, :5] = 0, 0
GREEDY = {"max_new_tokens": 7, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}


def seeded(kind, config):
    """A random model with biases."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        hf = kind(config)
        for name, parameter in hf.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter)
    return hf


def dense_of(model, players, mask, rescale=False):
    """The whole architecture with zeros, in memory."""
    dense = type(model.hf)(model.hf.config).eval()
    state = dense_state(model, spread(players, model.shape, mask[None]), rescale)
    dense.load_state_dict(state)
    return dense


def masks_of(model, spec, players):
    """A mask with uneven groups, and one that leaves the first layer no head."""
    heads = [i for i, p in enumerate(players) if p.kind == "head" and p.layer == 0]
    uneven = np.arange(players.n) % 5 != 0
    bare = uneven.copy()
    bare[heads] = False
    return [uneven, bare] if heads else [np.arange(players.n) % 3 != 0]


@pytest.mark.parametrize(
    ("spec", "rescale"), [("heads mlps", False), ("heads", True), ("kv", False), ("layers", False)]
)
def test_compact_masked_and_dense_have_the_same_logits(tiny, spec, rescale):
    players = sm.select_players(tiny, spec)
    for mask in masks_of(tiny, spec, players):
        small = compact_model(tiny, players, mask, rescale=rescale)
        dense = dense_of(tiny, players, mask, rescale)
        with torch.no_grad():
            ours, theirs = small(IDS).logits, dense(IDS).logits
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
        game = sm.TaskGame(tiny, sm.TokenTask(IDS, answers=PAIRS), players, rescale=rescale)
        answers = ours[:, -1].gather(1, torch.from_numpy(PAIRS)).numpy()
        np.testing.assert_allclose(answers, game.scores(mask[None])[0], rtol=0, atol=1e-4)
        assert sum(p.numel() for p in small.parameters()) < sum(
            p.numel() for p in dense.parameters()
        )


def test_generation_with_and_without_cache_is_that_of_the_dense_model(tiny):
    players = sm.select_players(tiny, "heads mlps")
    for mask in masks_of(tiny, "heads mlps", players):
        small, dense = compact_model(tiny, players, mask), dense_of(tiny, players, mask)
        for options in ({}, {"attention_mask": LEFT}):
            expected = dense.generate(IDS, use_cache=False, **options, **GREEDY)
            for cache in (True, False):
                made = small.generate(IDS, use_cache=cache, **options, **GREEDY)
                assert torch.equal(made, expected)


@pytest.mark.parametrize("dead", ["sliding_attention", "full_attention"])
def test_a_sliding_window_survives_the_loss_of_one_kind_of_layer(dead):
    config = transformers.Gemma2Config(
        vocab_size=61,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        sliding_window=4,
    )
    model = sm.load_model(seeded(transformers.Gemma2ForCausalLM, config))
    players = sm.select_players(model, "heads")
    kinds = config.layer_types
    mask = np.array([kinds[p.layer] != dead or p.index == p.layer for p in players])
    for gone in (mask, mask & np.array([kinds[p.layer] != dead for p in players])):
        small, dense = compact_model(model, players, gone), dense_of(model, players, gone)
        expected = dense.generate(IDS, use_cache=False, **GREEDY)
        assert torch.equal(small.generate(IDS, use_cache=True, **GREEDY), expected)
        with torch.no_grad():
            torch.testing.assert_close(small(IDS).logits, dense(IDS).logits, rtol=0, atol=1e-4)


def test_beams_and_a_static_cache_work_on_layers_of_different_size(tiny_llama):
    players = sm.select_players(tiny_llama, "heads")
    mask = np.array([0, 0, 0, 0, 1, 1, 0, 1, 0, 1, 0, 0], dtype=bool)
    small, dense = compact_model(tiny_llama, players, mask), dense_of(tiny_llama, players, mask)
    for options in ({"num_beams": 3}, {"cache_implementation": "static", "disable_compile": True}):
        made = small.generate(IDS, attention_mask=LEFT, **options, **GREEDY)
        expected = dense.generate(IDS, attention_mask=LEFT, **options, **GREEDY)
        assert torch.equal(made, expected)


def test_parts_and_cache_are_gone(tiny_llama):
    players = sm.select_players(tiny_llama, "heads mlps")
    # L0: heads 0 and 3; L1: no head; L2: heads 0 and 1, which share a key/value head, and no MLP.
    kept = ["L0H0", "L0H3", "L2H0", "L2H1", "L0MLP", "L1MLP"]
    mask = np.array([name in kept for name in players.names])
    small = compact_model(tiny_llama, players, mask)
    hidden, width, inner, words = 32, 8, 48, 61
    first = (2 + 2 + 2 + 2) * width * hidden + 2 * hidden + 3 * inner * hidden
    second = hidden + 3 * inner * hidden
    third = (2 + 1 + 1 + 2) * width * hidden + hidden
    total = first + second + third + hidden + 2 * words * hidden
    assert sum(p.numel() for p in small.parameters()) == total
    with torch.no_grad():
        cache = small(IDS, use_cache=True).past_key_values
    held = [tuple(layer.keys.shape) for layer in cache.layers if layer.keys is not None]
    assert held == [(3, 2, 9, width), (3, 1, 9, width)]


def test_an_output_bias_stays_with_its_layer_and_goes_with_it():
    config = transformers.LlamaConfig(
        vocab_size=61,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        attention_bias=True,
        mlp_bias=True,
        tie_word_embeddings=True,
    )
    hf = seeded(transformers.LlamaForCausalLM, config)
    model = sm.load_model(hf)
    heads, layers = sm.select_players(model, "heads mlps:0"), sm.select_players(model, "layers")
    one_by_one = compact_model(model, heads, np.arange(heads.n) // 4 == 1)
    whole = compact_model(model, layers, np.array([False, True]))
    assert one_by_one.config.num_hidden_layers == 2
    assert torch.equal(
        one_by_one.state_dict()["model.layers.0.self_attn.o_proj.bias"],
        hf.state_dict()["model.layers.0.self_attn.o_proj.bias"],
    )
    assert whole.config.num_hidden_layers == 1 and type(whole) is transformers.LlamaForCausalLM
    for players, mask, small in (
        (heads, np.arange(heads.n) // 4 == 1, one_by_one),
        (layers, np.array([False, True]), whole),
    ):
        with torch.no_grad():
            ours, theirs = small(IDS).logits, dense_of(model, players, mask)(IDS).logits
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
    with torch.no_grad():
        assert (one_by_one(IDS).logits - whole(IDS).logits).abs().max() > 1e-2
    assert one_by_one.lm_head.weight is one_by_one.model.embed_tokens.weight


def test_gpt2_scores_scaled_by_layer_number_keep_their_numbers():
    config = transformers.GPT2Config(
        vocab_size=61,
        n_embd=32,
        n_layer=3,
        n_head=4,
        n_positions=64,
        scale_attn_by_inverse_layer_idx=True,
        initializer_range=0.3,
    )
    model = sm.load_model(seeded(transformers.GPT2LMHeadModel, config))
    players = sm.select_players(model, "layers")
    mask = np.array([False, True, True])
    small, dense = compact_model(model, players, mask), dense_of(model, players, mask)
    with torch.no_grad():
        torch.testing.assert_close(small(IDS).logits, dense(IDS).logits, rtol=0, atol=1e-4)


@pytest.mark.parametrize("spec", ["heads", "layers"])
def test_a_model_of_which_nothing_is_left_still_answers(tiny_llama, spec):
    players = sm.select_players(tiny_llama, spec)
    mask = np.zeros(players.n, dtype=bool)
    small, dense = compact_model(tiny_llama, players, mask), dense_of(tiny_llama, players, mask)
    made = small.generate(IDS, use_cache=True, **GREEDY)
    assert torch.equal(made, dense.generate(IDS, use_cache=False, **GREEDY))


def test_the_source_model_is_not_changed(tiny):
    before = tiny.fingerprint
    players = sm.select_players(tiny, "heads mlps")
    small = compact_model(tiny, players, np.arange(players.n) % 2 == 0, rescale=True)
    del tiny.__dict__["fingerprint"]
    assert tiny.fingerprint == before
    assert small.config is not tiny.hf.config
    assert tiny.hf.config.num_hidden_layers == 3
