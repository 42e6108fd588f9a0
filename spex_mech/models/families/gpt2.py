"""GPT-2."""

from __future__ import annotations

from typing import Any

from spex_mech.models.decoder import Block, Decoder
from spex_mech.models.families.parts import (
    Unknown,
    mlp,
    output_projection,
    query_key_value,
    unembedding,
    used_layers,
)


def read(hf: Any) -> Decoder:
    """Read a GPT-2 model."""
    body, config = hf.transformer, hf.config
    if config.add_cross_attention:
        raise Unknown("it has cross-attention")
    blocks = [
        Block(
            attention_norm=layer.ln_1,
            mlp_norm=layer.ln_2,
            **query_key_value(layer.attn, config, "c_attn"),
            **output_projection(layer.attn.c_proj, layer.attn.head_dim),
            mlp=mlp(layer.mlp, config.hidden_size),
            scaling=layer.attn.scaling,
        )
        for layer in used_layers(body.h, config)
    ]
    return Decoder(
        embed=lambda ids, positions: body.wte(ids) + body.wpe(positions),
        rotaries=(),
        blocks=tuple(blocks),
        norm=body.ln_f,
        **unembedding(hf),
    )
