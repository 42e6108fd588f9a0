"""Parts that the families share: linear maps, heads, rotary embeddings, attention windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from spex_mech.models.decoder import Projection

_STEADY_ROPE = ("default", "linear", "llama3", "yarn")


class Unknown(Exception):
    """Why a model cannot be read."""


def rotary(body: Any, config: Any) -> Callable:
    """The module that gives cosines and sines, whose angles must not depend on the batch."""
    kind = config.rope_parameters.get("rope_type", "default")
    if kind not in _STEADY_ROPE:
        raise Unknown(f"its rotary embedding is {kind!r}, whose angles depend on the batch")
    return body.rotary_emb


def attention_window(config: Any) -> int | None:
    """Tokens of the sliding window where some layer has one, else None."""
    if getattr(config, "use_bidirectional_attention", None):
        raise Unknown("its attention is bidirectional")
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        odd = {*kinds} - {"full_attention", "sliding_attention"}
        if odd:
            raise Unknown(f"it has layers of {sorted(odd)[0]!r}")
        if "sliding_attention" not in kinds:
            return None
    return getattr(config, "sliding_window", None)


def linear(module: nn.Module, name: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight (out, in) and bias of a plain linear map."""
    if type(module) is nn.Linear:
        return module.weight.detach(), None if module.bias is None else module.bias.detach()
    if type(module) is Conv1D:
        return module.weight.detach().t(), module.bias.detach()
    raise Unknown(f"its {name} is a {type(module).__name__}, not a plain linear map")


def head_rows(
    weight: torch.Tensor, bias: torch.Tensor | None, head_dim: int, rows: slice = slice(None)
) -> Projection:
    """A projection into heads from some rows of a linear map's weight and bias."""
    part = None if bias is None else bias[rows].unflatten(0, (-1, head_dim))
    return Projection(weight[rows].unflatten(0, (-1, head_dim)), part)


def query_key_value(attention: Any, config: Any, fused: str | None = None) -> dict[str, Projection]:
    """Projections from q_proj, k_proj, v_proj, or from one that stacks query, key and value rows."""
    hd = attention.head_dim
    if fused is None:
        names = {x: getattr(attention, f"{x}_proj") for x in "qkv"}
        return {x: head_rows(*linear(m, f"{x}_proj"), hd) for x, m in names.items()}
    weight, bias = linear(getattr(attention, fused), fused)
    q = config.num_attention_heads * hd
    kv = (len(weight) - q) // 2
    rows = {"q": slice(0, q), "k": slice(q, q + kv), "v": slice(q + kv, None)}
    return {x: head_rows(weight, bias, hd, r) for x, r in rows.items()}


def output_projection(module: nn.Module, head_dim: int) -> dict[str, Any]:
    """Weight and bias of the output projection, as `Block` names them."""
    weight, bias = linear(module, "output projection")
    return {"out": weight.unflatten(1, (-1, head_dim)), "out_bias": bias}


def used_layers(layers: Any, config: Any) -> Iterator[Any]:
    """The layers that the config counts."""
    yield from layers[: config.num_hidden_layers]


def unembedding(hf: Any) -> dict[str, Any]:
    """Weight and bias of the unembedding, as `Decoder` names them."""
    weight, bias = linear(hf.get_output_embeddings(), "unembedding")
    return {"head": weight, "head_bias": bias}
