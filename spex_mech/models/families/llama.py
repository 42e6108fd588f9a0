"""Llama and the families that differ from it by some traits; `traits` lists them."""

from __future__ import annotations

from typing import Any

import torch

from spex_mech.models.decoder import Block, Decoder, Map
from spex_mech.models.families import parts
from spex_mech.models.families.parts import Unknown
from spex_mech.models.families.traits import TRAITS, Traits


def read(hf: Any) -> Decoder:
    """Read a model of Llama's kind."""
    traits = TRAITS[type(hf).__name__]
    # A model of text and images keeps its decoder inside.
    body, config = getattr(hf.model, "language_model", hf.model), hf.config.get_text_config()
    softcap = _checked_softcap(config, "final_logit_softcapping", traits.softcap)
    kinds = _rotary_kinds(config, traits)
    factor = getattr(body, "embedding_multiplier", 1.0)

    def embed(ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        stream = body.embed_tokens(ids)
        return stream if factor == 1.0 else stream * factor

    layers = enumerate(parts.used_layers(body.layers, config))
    return Decoder(
        embed=embed,
        rotaries=tuple(
            parts.rotary(body.rotary_emb, config, layer_type=kind, **traits.rotary)
            for kind in kinds
        ),
        blocks=tuple(_block(layer, i, config, traits, type(hf).__module__) for i, layer in layers),
        norm=body.norm,
        **parts.unembedding(hf),
        logit_scale=traits.logit_scale(hf),
        softcap=softcap,
    )


def _block(layer: Any, index: int, config: Any, traits: Traits, home: str) -> Block:
    attention, module = layer.self_attn, layer.mlp
    if type(module).__module__ != home:
        raise Unknown(f"its MLP is a {type(module).__name__}")
    parallel = traits.parallel(layer)
    attention_norm = _norm(layer, traits.attention_norm)
    alone = parallel and getattr(layer, str(traits.mlp_norm), None) is None
    factor = getattr(layer, "residual_multiplier", 1.0)
    kind = config.layer_types[index] if traits.typed_rotary else None
    rotary = _rotary_kinds(config, traits).index(kind) if traits.rotates(attention) else None
    sinks = getattr(attention, "sinks", None)
    return Block(
        attention_norm=attention_norm,
        mlp_norm=attention_norm if alone else _norm(layer, traits.mlp_norm),
        **parts.query_key_value(
            attention, config, traits.fused, clip=config.clip_qkv if traits.clip else None
        ),
        **parts.output_projection(attention.o_proj, attention.head_dim),
        mlp=parts.mlp(
            module,
            config.hidden_size,
            experts=getattr(config, "num_experts_per_tok", 0),
            run=(lambda x: module(x)[0]) if traits.mlp_first else None,
        ),
        scaling=attention.scaling,
        after_attention=parts.multiplied(factor, _after(layer, traits.after_attention)),
        after_mlp=parts.multiplied(factor, _after(layer, traits.after_mlp)),
        parallel=parallel,
        softcap=_checked_softcap(config, "attn_logit_softcapping", traits.attention_softcap),
        rotary=rotary,
        window=parts.attention_window(config, index, traits.windows),
        sinks=None if sinks is None else sinks.detach(),
    )


def _rotary_kinds(config: Any, traits: Traits) -> list[str | None]:
    """The kinds of layers that have a rotary embedding of their own; None for all layers."""
    return sorted(set(config.layer_types)) if traits.typed_rotary else [None]


def _norm(layer: Any, name: str | None) -> Map:
    return (lambda x: x) if name is None else getattr(layer, name)


def _after(layer: Any, name: str | None) -> Map | None:
    return None if name is None else getattr(layer, name)


def _checked_softcap(config: Any, name: str, used: bool) -> float | None:
    """A bound of the config; one that the model's class does not heed may be heeded by the reference."""
    bound = getattr(config, name, None)
    if bound is not None and not used:
        raise Unknown(f"its config has {name}, which its class does not heed")
    return bound
