"""The fast engine on every family, against plain Hugging Face code with hooks and against the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

import spex_mech as sm
from spex_mech import ablation
from spex_mech.ablation.fast.layout import Framer, Layout
from spex_mech.core.players import units
from spex_mech.models.families import read_decoder
from spex_mech.tasks.prompts import Prompts

HF = transformers
SMALL: dict[str, Any] = {
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
WIDE = {**SMALL, "head_dim": 16}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
LOCAL = {"sliding_window": 4}
TYPES = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
PARTIAL = {
    "rope_parameters": {"rope_theta": 1e4, "rope_type": "default", "partial_rotary_factor": 0.5}
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10_000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 16,
}
TWO_ROPES = {
    "rope_parameters": {
        "full_attention": {**YARN},
        "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
    }
}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 8,
    "patch_size": 4,
}
CONFIGS: dict[str, Callable[[], Any]] = {
    "apertus": lambda: HF.ApertusConfig(**SMALL),
    "arcee": lambda: HF.ArceeConfig(**SMALL),
    "cohere": lambda: HF.CohereConfig(**SMALL, logit_scale=0.5),
    "cohere with norms of heads": lambda: HF.CohereConfig(**SMALL, use_qk_norm=True),
    "cohere2": lambda: HF.Cohere2Config(**WIDE, **LOCAL, **TYPES, logit_scale=0.5),
    "ernie4.5": lambda: HF.Ernie4_5Config(**SMALL, use_bias=True),
    "exaone4": lambda: HF.Exaone4Config(**WIDE, **LOCAL, **TYPES),
    "exaone4 without windows": lambda: HF.Exaone4Config(
        **WIDE, sliding_window=None, layer_types=["full_attention"] * 3
    ),
    "gemma2": lambda: HF.Gemma2Config(
        **WIDE, **LOCAL, **TYPES, attn_logit_softcapping=2.0, final_logit_softcapping=5.0
    ),
    "gemma3": lambda: HF.Gemma3TextConfig(
        **WIDE, **LOCAL, **TYPES, **TWO_ROPES, query_pre_attn_scalar=20
    ),
    "gemma3 of texts and images": lambda: HF.Gemma3Config(
        text_config=HF.Gemma3TextConfig(**WIDE, **LOCAL, **TYPES),
        vision_config=HF.SiglipVisionConfig(**VISION),
        mm_tokens_per_image=4,
        image_token_index=60,
    ),
    "glm": lambda: HF.GlmConfig(**WIDE, attention_bias=True),
    "glm4": lambda: HF.Glm4Config(**WIDE, **PARTIAL),
    "gpt-oss": lambda: HF.GptOssConfig(
        **WIDE, **LOCAL, **TYPES, num_local_experts=4, num_experts_per_tok=2
    ),
    "granite": lambda: HF.GraniteConfig(
        **SMALL,
        embedding_multiplier=3.0,
        residual_multiplier=0.4,
        attention_multiplier=0.2,
        logits_scaling=0.5,
    ),
    "mistral": lambda: HF.MistralConfig(**SMALL, **LOCAL),
    "mixtral": lambda: HF.MixtralConfig(
        **SMALL, **LOCAL, num_local_experts=4, num_experts_per_tok=2
    ),
    "nemotron": lambda: HF.NemotronConfig(**SMALL, **PARTIAL),
    "olmo": lambda: HF.OlmoConfig(**SMALL, clip_qkv=0.3),
    "olmo2": lambda: HF.Olmo2Config(**SMALL),
    "olmo3": lambda: HF.Olmo3Config(**SMALL, **LOCAL, **TYPES, **TWO_ROPES),
    "olmoe": lambda: HF.OlmoeConfig(**SMALL, num_experts=4, num_experts_per_tok=2, clip_qkv=0.7),
    "phi3": lambda: HF.Phi3Config(**SMALL, **LOCAL),
    "qwen2": lambda: HF.Qwen2Config(**SMALL, **LOCAL, use_sliding_window=True, max_window_layers=1),
    "qwen2-moe": lambda: HF.Qwen2MoeConfig(
        **SMALL, **EXPERTS, **LOCAL, use_sliding_window=True, shared_expert_intermediate_size=24
    ),
    "qwen3": lambda: HF.Qwen3Config(**WIDE, **LOCAL, use_sliding_window=True, max_window_layers=1),
    "qwen3-moe": lambda: HF.Qwen3MoeConfig(**WIDE, **EXPERTS, mlp_only_layers=[1]),
    "seed-oss": lambda: HF.SeedOssConfig(**WIDE),
    "smollm3": lambda: HF.SmolLM3Config(**SMALL, no_rope_layers=[1, 0, 1]),
    "smollm3 with windows": lambda: HF.SmolLM3Config(
        **SMALL, **LOCAL, no_rope_layers=[1, 0, 1], use_sliding_window=True
    ),
    "stablelm": lambda: HF.StableLmConfig(**SMALL, **PARTIAL, use_qkv_bias=True),
    "stablelm in parallel": lambda: HF.StableLmConfig(**SMALL, use_parallel_residual=True),
    "stablelm with norms of heads": lambda: HF.StableLmConfig(**SMALL, qk_layernorm=True),
    "starcoder2": lambda: HF.Starcoder2Config(**SMALL, **LOCAL),
}
ABLATIONS = {
    "zero": ablation.zero(),
    "mean": ablation.mean(),
    "resample": ablation.resample(seed=3),
}


def model_of(name: str) -> sm.Model:
    config = CONFIGS[name]()
    cls = (
        HF.AutoModelForImageTextToText
        if hasattr(config, "vision_config")
        else HF.AutoModelForCausalLM
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        hf = cls.from_config(config)
        for path, parameter in hf.named_parameters():
            if "norm" in path or "sinks" in path:
                torch.nn.init.normal_(parameter, mean=0.5, std=0.5)
            elif parameter.ndim > 1 and "embed" not in path:
                torch.nn.init.normal_(parameter, std=0.2)
            elif path.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.1)
    return sm.load_model(hf.eval())


def prompts_of(prefix: int) -> Prompts:
    """Five prompts of 5 to 13 tokens after a shared prefix, all longer than the windows."""
    rng = np.random.default_rng(0)
    shared = rng.integers(3, 60, prefix).tolist()
    tokens = tuple(tuple(shared + rng.integers(3, 60, n).tolist()) for n in (9, 5, 13, 6, 7))
    answers = rng.integers(3, 60, (5, 4))
    return Prompts(tuple("abcde"), tokens, answers, np.zeros(5, dtype=np.int64))


def masks_of(n: int, count: int = 4) -> np.ndarray:
    masks = np.random.default_rng(1).random((count, n)) < 0.6
    masks[0], masks[1] = True, False
    return masks


@contextmanager
def without(model: sm.Model, gone: list[Any]) -> Iterator[None]:
    """The plain model without some players, by hooks."""
    body = getattr(model.hf.model, "language_model", model.hf.model)
    handles = []
    for player in gone:
        for layer, head in units(player, model.shape):
            block = body.layers[layer]
            size = block.self_attn.head_dim

            def cut(module: Any, args: Any, head: int = head, size: int = size) -> Any:
                heads = args[0].clone()
                heads[..., head * size : (head + 1) * size] = 0
                return (heads, *args[1:])

            def silent(module: Any, args: Any, out: Any) -> Any:
                return (out[0] * 0, *out[1:]) if isinstance(out, tuple) else out * 0

            if head >= 0:
                handles.append(block.self_attn.o_proj.register_forward_pre_hook(cut))
            else:
                handles.append(block.mlp.register_forward_hook(silent))
        if player.kind == "layer":
            out = body.layers[player.layer].self_attn.o_proj
            handles.append(out.register_forward_hook(silent))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def plain_scores(model: sm.Model, prompts: Prompts, players: Any, masks: np.ndarray) -> np.ndarray:
    """Answer logits of prompts padded on the right, where causality keeps padding from what is read."""
    widest = max(len(t) for t in prompts.tokens)
    ids = torch.tensor([[*t, *[0] * (widest - len(t))] for t in prompts.tokens])
    last, rows = [len(t) - 1 for t in prompts.tokens], np.arange(len(ids))
    out = []
    for mask in masks:
        gone = [player for player, kept in zip(players, mask, strict=True) if not kept]
        with without(model, gone), torch.inference_mode():
            logits = model.hf(ids).logits[rows, last].numpy()
        out.append(np.take_along_axis(logits, prompts.answers, axis=1))
    return np.array(out)


def assert_alike(fast: np.ndarray, right: np.ndarray, about: str) -> None:
    largest = np.abs(right).max()
    assert np.abs(right[0] - right[1]).max() > 1e-2 * largest, about  # what is removed matters
    np.testing.assert_allclose(fast, right, atol=1e-4 * largest, rtol=0, err_msg=about)


@pytest.mark.parametrize("name", CONFIGS)
def test_plain_code_with_hooks(name):
    model = model_of(name)
    for spec, prefix in (
        ("heads", 0),
        ("kv:1-2", 5),
        ("mlps", 5),
        ("layers:1-2", 0),
        ("heads:2", 5),
    ):
        players, prompts = sm.select_players(model, spec), prompts_of(prefix)
        masks = masks_of(players.n)
        fast = ablation.FastEngine(model, prompts, players, ABLATIONS["zero"]).scores(masks)
        assert_alike(fast, plain_scores(model, prompts, players, masks), spec)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_reference_with_every_ablation(name):
    model = model_of(name)
    for kind, spec in (("mean", "layers"), ("resample", "heads:1 mlps:0-1")):
        players, prompts = sm.select_players(model, spec), prompts_of(5)
        masks = masks_of(players.n, 3)
        fast, right = (
            engine(model, prompts, players, ABLATIONS[kind]).scores(masks)
            for engine in (ablation.FastEngine, ablation.ReferenceEngine)
        )
        assert_alike(fast, right, f"{kind} {spec}")


def test_experts_in_half_precision_fall_back():
    half = sm.load_model(model_of("mixtral").hf.to(torch.bfloat16))
    assert "chosen by scores in torch.bfloat16" in ablation.obstacle(half, prompts_of(0))


@pytest.mark.parametrize(
    ("name", "work"),
    [
        ("arcee", 2 * 32 * 48),
        ("starcoder2", 2 * 32 * 48),
        ("mixtral", 4 * 32 + 2 * 3 * 32 * 48),
        ("gpt-oss", 4 * 32 + 2 * 3 * 32 * 48),
        # A router, two of four experts, one that all tokens share, and its gate.
        ("qwen2-moe", 4 * 32 + 2 * 3 * 32 * 24 + 3 * 32 * 24 + 32),
    ],
)
def test_an_mlp_costs_what_one_token_multiplies(name, work):
    assert [block.mlp.work for block in read_decoder(model_of(name).hf).blocks] == [work] * 3


def multiplications(name: str, gone: tuple[str, ...]) -> int:
    model, prompts = model_of(name), prompts_of(0)
    players = sm.select_players(model, "heads")
    masks = np.ones((1, players.n), dtype=bool)
    masks[0, [players.index(player) for player in ("L0H0", *gone)]] = False
    engine = ablation.FastEngine(model, prompts, players, ABLATIONS["zero"])
    engine.scores(masks)
    with FlopCounterMode(display=False) as counter:
        engine.scores(masks)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(
    ("name", "a_head"),
    # Query and output of one head at every token; a norm over all queries needs them all.
    [("qwen3", 2 * 32 * 16), ("cohere with norms of heads", 2 * 32 * 8), ("olmo2", 32 * 8)],
)
def test_a_removed_head_is_not_computed(name, a_head, monkeypatch):
    monkeypatch.setattr("spex_mech.ablation.fast.cost.spare_tokens", lambda *a: 0)
    assert multiplications(name, ()) - multiplications(name, ("L1H1",)) == 40 * a_head


def test_a_window_that_holds_the_prompts_takes_the_causal_kernel():
    framer = Framer((), frozenset({None, 13, 12}), 20, torch.device("cpu"))
    masks = framer.frame(Layout(np.array([5, 13])), 0).masks
    assert masks[None] == masks[13] == (None, None)
    assert masks[12][0] is None and (~masks[12][1]).sum() == 13 * 12 // 2 + 1


def test_masks_of_all_widths_share_their_memory():
    framer = Framer((), frozenset({4}), 20, torch.device("cpu"))
    for offset in (0, 3):
        masks = framer.frame(Layout(np.array([5, 9, 17])), offset).masks[4]
        assert len({mask.untyped_storage().data_ptr() for mask in masks}) == 1
        for mask in masks:
            queries, keys = np.indices(mask.shape)
            ago = queries + offset - keys
            np.testing.assert_array_equal(mask.numpy(), (ago >= 0) & (ago < 4))
