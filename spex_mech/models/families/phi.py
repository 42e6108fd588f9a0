"""Phi 1 and 2."""

from __future__ import annotations

from typing import Any

from spex_mech.models.decoder import Block, Decoder
from spex_mech.models.families.parts import (
    Unknown,
    mlp,
    output_projection,
    query_key_value,
    rotary,
    unembedding,
    used_layers,
)


def read(hf: Any) -> Decoder:
    """Read a Phi model."""
    body, config = hf.model, hf.config
    if config.qk_layernorm:
        raise Unknown("its heads have norms (qk_layernorm), which the reference does not know")

    def block(layer: Any) -> Block:
        attention = layer.self_attn
        return Block(
            attention_norm=layer.input_layernorm,
            mlp_norm=layer.input_layernorm,
            **query_key_value(attention, config),
            **output_projection(attention.dense, attention.head_dim),
            mlp=mlp(layer.mlp, config.hidden_size),
            scaling=attention.scaling,
            rotary=0,
            parallel=True,
        )

    return Decoder(
        embed=lambda ids, positions: body.embed_tokens(ids),
        rotaries=(rotary(body.rotary_emb, config),),
        blocks=tuple(block(layer) for layer in used_layers(body.layers, config)),
        norm=body.final_layernorm,
        **unembedding(hf),
    )
