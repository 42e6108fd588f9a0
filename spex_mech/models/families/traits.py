"""How families differ from Llama."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Traits:
    """How a family's layers differ from Llama's.

    What a layer can be seen to have, such as biases, norms of queries and keys, experts or sinks, is not
    listed here.

    Attributes:
        attention_norm, mlp_norm: names of the norms before attention and MLP; None for none. An MLP beside
            attention that has no norm of its own has that of attention.
        after_attention, after_mlp: names of the norms behind them; None for none.
        fused: name of the projection that stacks query, key and value rows, or None.
        windows: which layers have the config's sliding window, see `parts.attention_window`.
        rotary: how queries and keys are rotated, see `parts.rotary`.
        typed_rotary: whether each kind of layer has a rotary embedding of its own.
        rotates: whether a layer's attention rotates at all.
        parallel: whether a layer's MLP stands beside its attention.
        clip: whether queries, keys and values are bounded as the config says.
        logit_scale: factor of the logits.
        softcap: whether the logits are bounded as the config says.
        attention_softcap: whether attention scores are.
        mlp_first: whether the MLP returns its output with something else behind it.
    """

    attention_norm: str | None = "input_layernorm"
    mlp_norm: str | None = "post_attention_layernorm"
    after_attention: str | None = None
    after_mlp: str | None = None
    fused: str | None = None
    windows: str | None = None
    rotary: Mapping[str, Any] = field(default_factory=dict)
    typed_rotary: bool = False
    rotates: Callable[[Any], bool] = lambda attention: True
    parallel: Callable[[Any], bool] = lambda layer: False
    clip: bool = False
    logit_scale: Callable[[Any], float] = lambda hf: 1.0
    softcap: bool = False
    attention_softcap: bool = False
    mlp_first: bool = False


_INTERLEAVED = {"interleaved": True}
_COHERE: dict[str, Any] = {
    "rotary": {"interleaved": True, "angles": "doubled", "exact": True},
    "parallel": lambda layer: True,
    "logit_scale": lambda hf: hf.logit_scale,
}
_SANDWICH: dict[str, Any] = {
    "after_attention": "post_attention_layernorm",
    "mlp_norm": "pre_feedforward_layernorm",
    "after_mlp": "post_feedforward_layernorm",
}
_NORMS_BEHIND: dict[str, Any] = {**_SANDWICH, "attention_norm": None, "mlp_norm": None}
_GEMMA3: dict[str, Any] = {**_SANDWICH, "windows": "typed", "typed_rotary": True}

TRAITS: dict[str, Traits] = {
    "ApertusForCausalLM": Traits(
        attention_norm="attention_layernorm", mlp_norm="feedforward_layernorm"
    ),
    "ArceeForCausalLM": Traits(),
    "Cohere2ForCausalLM": Traits(
        **_COHERE, windows="typed", rotates=lambda attention: attention.sliding_window is not None
    ),
    "CohereForCausalLM": Traits(**_COHERE),
    "Ernie4_5ForCausalLM": Traits(rotary=_INTERLEAVED),
    "Exaone4ForCausalLM": Traits(
        **_NORMS_BEHIND,
        windows="typed",
        rotates=lambda attention: attention.sliding_window is None or attention.is_sliding,
    ),
    "Gemma2ForCausalLM": Traits(**_SANDWICH, windows="typed", softcap=True, attention_softcap=True),
    "Gemma3ForCausalLM": Traits(**_GEMMA3, softcap=True),
    "Gemma3ForConditionalGeneration": Traits(**_GEMMA3),
    "GemmaForCausalLM": Traits(),
    "Glm4ForCausalLM": Traits(
        after_attention="post_self_attn_layernorm",
        after_mlp="post_mlp_layernorm",
        rotary=_INTERLEAVED,
    ),
    "GlmForCausalLM": Traits(rotary=_INTERLEAVED),
    "GptOssForCausalLM": Traits(windows="typed", rotary={"angles": "once"}, mlp_first=True),
    "GraniteForCausalLM": Traits(logit_scale=lambda hf: 1 / hf.config.logits_scaling),
    "LlamaForCausalLM": Traits(),
    "MistralForCausalLM": Traits(windows="every"),
    "MixtralForCausalLM": Traits(windows="every"),
    "NemotronForCausalLM": Traits(),
    "Olmo2ForCausalLM": Traits(**_NORMS_BEHIND),
    "Olmo3ForCausalLM": Traits(**_NORMS_BEHIND, windows="typed", typed_rotary=True),
    "OlmoForCausalLM": Traits(clip=True),
    "OlmoeForCausalLM": Traits(clip=True),
    "Phi3ForCausalLM": Traits(fused="qkv_proj", windows="every"),
    "Qwen2ForCausalLM": Traits(windows="typed"),
    "Qwen2MoeForCausalLM": Traits(windows="typed"),
    "Qwen3ForCausalLM": Traits(windows="typed"),
    "Qwen3MoeForCausalLM": Traits(windows="every"),
    "SeedOssForCausalLM": Traits(),
    "SmolLM3ForCausalLM": Traits(
        windows="typed", rotates=lambda attention: bool(attention.use_rope)
    ),
    "StableLmForCausalLM": Traits(parallel=lambda layer: layer.use_parallel_residual),
    "Starcoder2ForCausalLM": Traits(windows="every"),
}
"""By the class of the model."""
