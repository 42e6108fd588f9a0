"""Llama, Mistral, Qwen 2 and 3, Gemma 1 and 2, and Phi 3 with its stacked projections."""

from __future__ import annotations

from typing import Any

from spex_mech.models.decoder import Block, Decoder
from spex_mech.models.families.parts import (
    Unknown,
    attention_window,
    output_projection,
    query_key_value,
    rotary,
    unembedding,
    used_layers,
)


def read(hf: Any) -> Decoder:
    """Read a model of Llama's kind."""
    body, config = hf.model, hf.config
    fused = "qkv_proj" if hasattr(body.layers[0].self_attn, "qkv_proj") else None
    return Decoder(
        embed=lambda ids, positions: body.embed_tokens(ids),
        rotary=rotary(body, config),
        blocks=tuple(_block(layer, config, fused) for layer in used_layers(body.layers, config)),
        norm=body.norm,
        **unembedding(hf),
        softcap=getattr(config, "final_logit_softcapping", None),
        window=attention_window(config),
    )


def _block(layer: Any, config: Any, fused: str | None = None) -> Block:
    attention = layer.self_attn
    if not hasattr(layer.mlp, "down_proj"):
        raise Unknown(f"its MLP is a {type(layer.mlp).__name__}")
    sandwich = hasattr(layer, "pre_feedforward_layernorm")  # Gemma 2
    after = layer.post_attention_layernorm
    return Block(
        attention_norm=layer.input_layernorm,
        mlp_norm=layer.pre_feedforward_layernorm if sandwich else after,
        **query_key_value(attention, config, fused),
        **output_projection(attention.o_proj, attention.head_dim),
        mlp=layer.mlp,
        scaling=attention.scaling,
        q_norm=getattr(attention, "q_norm", None),
        k_norm=getattr(attention, "k_norm", None),
        after_attention=after if sandwich else None,
        after_mlp=layer.post_feedforward_layernorm if sandwich else None,
        softcap=getattr(attention, "attn_logit_softcapping", None),
    )
