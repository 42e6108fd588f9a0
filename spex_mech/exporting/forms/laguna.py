"""The form ``laguna``: an architecture of Transformers and vLLM with a number of query heads for each layer.

Laguna multiplies what a head writes by a gate, softplus(W x). With W = 0 the gate is softplus(0) = ln 2
whatever the input, which is divided out of the output projection. Everything else is what Qwen3 computes: RMS
norms before attention and MLP and on the queries and keys of every head, rotary angles, full or sliding
attention, a gated MLP.

Layers of which nothing is left are left out. A layer without MLP, or without heads, does not fit: all dense
MLPs have one width, and every layer shares its query heads among as many key/value heads.

Other families with norms on queries and keys do not fit: OLMo 2 and 3 norm all heads together and norm after
attention and MLP instead of before, Gemma 3 norms before and after, and its norms multiply by 1 + w.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
import transformers

from spex_mech.core.errors import InputError
from spex_mech.core.layer_rules import LAYER_RULES
from spex_mech.exporting.cuts import LayerCut
from spex_mech.exporting.forms.form import HfCheckpoint
from spex_mech.models.model import Model

_COPIED = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "hidden_act"),
    *("max_position_embeddings", "initializer_range", "rms_norm_eps", "tie_word_embeddings"),
    *("pad_token_id", "bos_token_id", "eos_token_id", "layer_types", "sliding_window", "head_dim"),
)


class LagunaForm:
    """Pruned Qwen3 models whose layers have all their MLP and equally many key/value heads."""

    name = "laguna"
    rule = LAYER_RULES["laguna"]

    def obstacle(self, model: Model, kept: Sequence[LayerCut]) -> str | None:
        """Another architecture, biases, or a Transformers without Laguna."""
        if not hasattr(transformers, "LagunaForCausalLM"):
            return (
                f"Transformers {transformers.__version__} has no Laguna; update it to 5.17 or newer"
            )
        hf = model.hf
        if type(hf) is not transformers.Qwen3ForCausalLM:
            return f"a {type(hf).__name__} does not compute what Laguna computes, only Qwen3 does"
        if hf.config.attention_bias:
            return "its attention has biases, and vLLM's Laguna reads none"
        if hf.config.hidden_act != "silu":
            return f"its MLPs have the activation {hf.config.hidden_act!r}, and Laguna's have silu"
        return "no layer is left; keep a layer" if not kept else None

    def checkpoint(self, small: Any, model: Model) -> HfCheckpoint:
        """The cut model as a Laguna of the same dtype."""
        return HfCheckpoint(_laguna(small), model.tokenizer)


def _laguna(small: Any) -> Any:
    """A ``LagunaForCausalLM`` that answers like a cut Qwen3 and shares most of its weights."""
    heads = [
        layer.self_attn.q_proj.out_features // small.config.head_dim for layer in small.model.layers
    ]
    config = _config(small, heads)
    laguna_class: Any = transformers.LagunaForCausalLM
    with torch.device("meta"):
        laguna = laguna_class(config)
    state = dict(small.state_dict())
    for name in laguna.state_dict():
        if name.endswith(".g_proj.weight"):
            layer = int(name.split(".")[2])
            state[name] = small.lm_head.weight.new_zeros(heads[layer], config.hidden_size)
        elif name.endswith(".o_proj.weight"):
            state[name] = _ungated(state[name])
    missing, left = laguna.load_state_dict(state, strict=False, assign=True)
    if missing or left:
        raise InputError(
            f"Transformers {transformers.__version__} has another Laguna than is known here: it has weights "
            f"{[*missing, *left]}; use form='own'"
        )
    laguna.tie_weights()
    device = small.lm_head.weight.device
    laguna.model.rotary_emb = type(laguna.model.rotary_emb)(config).to(
        device
    )  # not among the weights
    laguna.generation_config = copy.deepcopy(small.generation_config)
    return laguna.eval()


def _config(small: Any, heads: list[int]) -> Any:
    old = small.config
    values = {name: getattr(old, name) for name in _COPIED if getattr(old, name, None) is not None}
    rope = {**old.rope_parameters, "partial_rotary_factor": 1.0}
    config = transformers.LagunaConfig(
        **values,
        rope_parameters={kind: dict(rope) for kind in sorted({*old.layer_types})},
        num_attention_heads=max(heads),
        num_attention_heads_per_layer=heads,
        num_key_value_heads=small.model.layers[0].self_attn.k_proj.out_features // old.head_dim,
        mlp_layer_types=["dense"] * len(heads),
        gating="per-head",
        attention_bias=False,
        dtype=old.dtype,
    )
    config._attn_implementation = old._attn_implementation
    return config


def _ungated(weight: torch.Tensor) -> torch.Tensor:
    """An output projection divided by the gate, which is rounded to the model's dtype when it is applied."""
    gate = float(torch.tensor(math.log(2.0), dtype=torch.float32).to(weight.dtype))
    precise = torch.promote_types(weight.dtype, torch.float32)
    return (weight.to(precise) / gate).to(weight.dtype)
