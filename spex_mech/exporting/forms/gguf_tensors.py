"""A cut Llama as llama.cpp's settings and tensors of the architecture ``deci``.

llama.cpp turns neighbouring pairs of numbers by a rotary angle, Transformers number i and number i + d/2 of a
head. The rows of the query and key projections are therefore put in another order, as llama.cpp's own
converter does.
"""

from __future__ import annotations

import json
from typing import Any

import torch

from spex_mech.models.gguf_deci import ROPE_PARAMETERS

ZERO_UNITS = 32  # of the MLP that stands where one was removed


def deci_settings(small: Any) -> dict[str, Any]:
    """llama.cpp's settings of a cut model; see `gguf.GgufForm`.

    Args:
        small: a Llama or Mistral, or a compact one, whose layers keep the rule of ``gguf``.
    """
    config = small.config
    scaled = rope_factors(small)[0] is not None
    heads = [_heads(layer, i, config.head_dim) for i, layer in enumerate(small.model.layers)]
    units = [_units(layer) for layer in small.model.layers]
    return {
        "deci.context_length": config.max_position_embeddings,
        "deci.embedding_length": config.hidden_size,
        "deci.block_count": len(heads),
        "deci.feed_forward_length": units,
        "deci.attention.head_count": [queries for queries, _ in heads],
        "deci.attention.head_count_kv": [keys for _, keys in heads],
        "deci.attention.key_length": config.head_dim,
        "deci.attention.value_length": config.head_dim,
        "deci.attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "deci.rope.dimension_count": config.head_dim,
        "deci.rope.freq_base": float(config.rope_parameters["rope_theta"]),
        "deci.vocab_size": small.lm_head.weight.shape[0],
        # llama.cpp has the factors of the angles, and passes over what only `gguf_deci` reads.
        **({ROPE_PARAMETERS: json.dumps(dict(config.rope_parameters))} if scaled else {}),
    }


def deci_tensors(small: Any) -> dict[str, torch.Tensor]:
    """llama.cpp's tensors of a cut model by name, on the CPU: matrices in its dtype, all else float32."""
    out = {
        "token_embd.weight": small.model.embed_tokens.weight,
        "output_norm.weight": small.model.norm.weight,
    }
    if not small.config.tie_word_embeddings:
        out["output.weight"] = small.lm_head.weight
    factors, _ = rope_factors(small)
    if factors is not None:
        out["rope_freqs.weight"] = factors
    for i, layer in enumerate(small.model.layers):
        parts = _attention_tensors(small, i) | _mlp_tensors(small, layer)
        out |= {f"blk.{i}.{name}.weight": tensor for name, tensor in parts.items()}
    return {name: _plain(tensor) for name, tensor in out.items()}


def rope_factors(hf: Any) -> tuple[torch.Tensor | None, str | None]:
    """By what a model's rotary frequencies are smaller than those of its base, and why deci cannot have them.

    llama.cpp divides the frequencies of ``deci.rope.freq_base`` by these factors, so that any fixed
    scaling (linear, Llama 3's) is held exactly.

    Returns:
        The factors, float32 (head_dim / 2,), None where all are 1; and a fault, None for none.
    """
    config = hf.config
    kind = config.rope_parameters.get("rope_type", "default")
    rotary = hf.model.rotary_emb
    if kind not in ("default", "linear", "llama3") or float(rotary.attention_scaling) != 1.0:
        return None, f"its rotary angles are scaled by {kind!r}, and deci's by fixed factors only"
    if float(config.rope_parameters.get("partial_rotary_factor", 1.0)) != 1.0:
        return None, "its heads are rotated in part only, and deci's are as a whole"
    frequencies = rotary.inv_freq.float().cpu()
    powers = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
    factors = (1.0 / config.rope_parameters["rope_theta"] ** powers) / frequencies
    return (None if kind == "default" else factors), None


def interleaved(weight: torch.Tensor, width: int) -> torch.Tensor:
    """Rows of query or key heads (heads * width, hidden) in llama.cpp's order."""
    return weight.unflatten(0, (-1, 2, width // 2)).transpose(1, 2).flatten(0, 2)


def _attention_tensors(small: Any, i: int) -> dict[str, torch.Tensor]:
    layer, width = small.model.layers[i], small.config.head_dim
    queries, _ = _heads(layer, i, width)
    if not queries:
        return {}
    attention = layer.self_attn
    if hasattr(attention, "q_proj"):
        q, k, v, o = (getattr(attention, f"{x}_proj").weight for x in ("q", "k", "v", "o"))
        norm = layer.input_layernorm.weight
    else:  # the first layer's head of zeros
        q = k = v = small.lm_head.weight.new_zeros(width, small.config.hidden_size)
        o, norm = q.T, small.model.norm.weight
    return {
        "attn_norm": norm,
        "attn_q": interleaved(q, width),
        "attn_k": interleaved(k, width),
        "attn_v": v,
        "attn_output": o,
    }


def _mlp_tensors(small: Any, layer: Any) -> dict[str, torch.Tensor]:
    if hasattr(layer.mlp, "gate_proj"):
        gate, up, down = (getattr(layer.mlp, f"{x}_proj").weight for x in ("gate", "up", "down"))
        norm = layer.post_attention_layernorm.weight
    else:
        gate = up = small.lm_head.weight.new_zeros(ZERO_UNITS, small.config.hidden_size)
        down, norm = gate.T, small.model.norm.weight
    return {"ffn_norm": norm, "ffn_gate": gate, "ffn_up": up, "ffn_down": down}


def _heads(layer: Any, i: int, width: int) -> tuple[int, int]:
    """Query and key/value heads that are written for layer ``i``."""
    attention = layer.self_attn
    if not hasattr(attention, "q_proj"):
        return (0, 0) if i else (1, 1)
    return attention.q_proj.out_features // width, attention.k_proj.out_features // width


def _units(layer: Any) -> int:
    return layer.mlp.gate_proj.out_features if hasattr(layer.mlp, "gate_proj") else ZERO_UNITS


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.float() if tensor.ndim == 1 else tensor
