"""GPT-NeoX and Pythia."""

from __future__ import annotations

from typing import Any

from spex_mech.models.decoder import Block, Decoder, Projection
from spex_mech.models.families.parts import (
    linear,
    mlp,
    output_projection,
    rotary,
    unembedding,
    used_layers,
)


def read(hf: Any) -> Decoder:
    """Read a GPT-NeoX model."""
    body, config = hf.gpt_neox, hf.config

    def block(layer: Any) -> Block:
        attention = layer.attention
        weight, bias = linear(attention.query_key_value, "query_key_value")
        # Rows stand head by head, each with its query, key and value.
        rows = weight.unflatten(0, (-1, 3, attention.head_size))
        shifts = None if bias is None else bias.unflatten(0, (-1, 3, attention.head_size))
        qkv = {
            x: Projection(rows[:, i], None if shifts is None else shifts[:, i])
            for i, x in enumerate("qkv")
        }
        return Block(
            attention_norm=layer.input_layernorm,
            mlp_norm=layer.post_attention_layernorm,
            **qkv,
            **output_projection(attention.dense, attention.head_size),
            mlp=mlp(layer.mlp, config.hidden_size),
            scaling=attention.scaling,
            rotary=0,
            parallel=layer.use_parallel_residual,
        )

    return Decoder(
        embed=lambda ids, positions: body.embed_in(ids),
        rotaries=(rotary(body.rotary_emb, config),),
        blocks=tuple(block(layer) for layer in used_layers(body.layers, config)),
        norm=body.final_layer_norm,
        **unembedding(hf),
    )
