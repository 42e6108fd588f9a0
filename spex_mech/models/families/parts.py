"""Parts that the families share: linear maps, heads and their norms, rotary embeddings, windows, MLPs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers.pytorch_utils import Conv1D

from spex_mech.models.decoder import HeadNorm, Map, Mlp, Projection, Rotary

_STEADY_ROPE = ("default", "linear", "llama3", "yarn")


class Unknown(Exception):
    """Why a model cannot be read."""


def rotary(
    module: Any,
    config: Any,
    *,
    layer_type: str | None = None,
    angles: str = "twice",
    interleaved: bool = False,
    exact: bool = False,
) -> Rotary:
    """A rotary embedding, whose angles must not depend on the batch.

    Args:
        module: the module that gives cosines and sines.
        config: the model's config.
        layer_type: the kind of layers that it is for, where kinds have embeddings of their own.
        angles: how the module gives the angles of the pairs: ``once``, ``twice`` (all of them, then all
            again) or ``doubled`` (each of them two times).
        interleaved: see `Rotary`.
        exact: whether the model rotates in float32, whatever its dtype.
    """
    rope = config.rope_parameters
    if layer_type is not None:
        rope = rope.get(layer_type) or {"rope_type": None}
    kind = rope.get("rope_type", "default")
    if kind not in _STEADY_ROPE:
        raise Unknown(f"its rotary embedding is {kind!r}, whose angles depend on the batch")
    extra = () if layer_type is None else (layer_type,)

    def once(x: torch.Tensor) -> torch.Tensor:
        if angles == "twice":
            x = x[..., : x.shape[-1] // 2]
        elif angles == "doubled":
            x = x[..., ::2]
        return x.float() if exact else x

    def pairs(like: torch.Tensor, at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        cos, sin = module(like, at, *extra)
        return once(cos), once(sin)

    return Rotary(pairs, interleaved)


def attention_window(config: Any, layer: int, which: str | None) -> int | None:
    """Tokens that each token of a layer sees, or None for all before it.

    Args:
        config: the model's config.
        layer: the layer.
        which: which layers have the config's sliding window: ``every`` one, those of the ``typed`` kind,
            or none (None).
    """
    if getattr(config, "use_bidirectional_attention", None):
        raise Unknown("its attention is bidirectional")
    if which is None:
        return None
    if which == "typed":
        kind = config.layer_types[layer]
        if kind not in ("full_attention", "sliding_attention"):
            raise Unknown(f"it has layers of {kind!r}")
        if kind == "full_attention":
            return None
        if config.sliding_window is None:
            raise Unknown("it has layers of 'sliding_attention' without a window")
    if config.sliding_window is not None and config.sliding_window < 1:
        raise Unknown(f"its attention window is {config.sliding_window}")
    return config.sliding_window


def linear(module: nn.Module, name: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight (out, in) and bias of a plain linear map."""
    if type(module) is nn.Linear:
        return module.weight.detach(), None if module.bias is None else module.bias.detach()
    if type(module) is Conv1D:
        return module.weight.detach().t(), module.bias.detach()
    raise Unknown(f"its {name} is a {type(module).__name__}, not a plain linear map")


def head_norm(module: Any | None, head_dim: int) -> dict[str, Any]:
    """The norm of queries or keys, as `Projection` names it.

    It acts on single heads alike, on single heads each with weights of its own, or on all heads together.
    """
    if module is None:
        return {}
    if hasattr(module, "norms"):  # a LayerNorm without bias for every head
        weight = torch.stack([norm.weight.detach() for norm in module.norms])
        if any(norm.bias is not None for norm in module.norms):
            raise Unknown("the norms of its heads have biases")
        return {"norm": _own_norms(weight, module.norms[0].eps)}
    if module.weight.ndim == 2:
        return {"norm": _own_norms(module.weight.detach(), module.variance_epsilon)}
    if module.weight.shape == (head_dim,):
        return {"norm": lambda x, heads: module(x)}
    return {"norm": lambda x, heads: module(x.flatten(-2)).view_as(x), "joint": True}


def _own_norms(weight: torch.Tensor, eps: float) -> HeadNorm:
    """A LayerNorm of single heads, with weights (heads, head_dim); computed in float32."""

    def norm(x: torch.Tensor, heads: torch.Tensor | None) -> torch.Tensor:
        scale = weight if heads is None else weight.index_select(0, heads)
        normed = F.layer_norm(x.float(), x.shape[-1:], None, None, eps)
        return (scale.float() * normed).to(x.dtype)

    return norm


def head_rows(
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    head_dim: int,
    rows: slice = slice(None),
    **options: Any,
) -> Projection:
    """A projection into heads from some rows of a linear map's weight and bias."""
    part = None if bias is None else bias[rows].unflatten(0, (-1, head_dim))
    return Projection(weight[rows].unflatten(0, (-1, head_dim)), part, **options)


def query_key_value(
    attention: Any, config: Any, fused: str | None = None, *, clip: float | None = None
) -> dict[str, Projection]:
    """Projections from q_proj, k_proj, v_proj, or from one that stacks query, key and value rows.

    The norms of queries and keys are those that the attention has.
    """
    hd = attention.head_dim
    options: dict[str, dict[str, Any]] = {x: {"clip": clip} for x in "qkv"}
    for x in "qk":
        module = getattr(attention, f"{x}_norm", getattr(attention, f"{x}_layernorm", None))
        options[x].update(head_norm(module, hd))
    if fused is None:
        maps = {x: linear(getattr(attention, f"{x}_proj"), f"{x}_proj") for x in "qkv"}
        return {x: head_rows(*maps[x], hd, **options[x]) for x in maps}
    weight, bias = linear(getattr(attention, fused), fused)
    q = config.num_attention_heads * hd
    kv = (len(weight) - q) // 2
    rows = {"q": slice(0, q), "k": slice(q, q + kv), "v": slice(q + kv, None)}
    return {x: head_rows(weight, bias, hd, r, **options[x]) for x, r in rows.items()}


def output_projection(module: nn.Module, head_dim: int) -> dict[str, Any]:
    """Weight and bias of the output projection, as `Block` names them."""
    weight, bias = linear(module, "output projection")
    return {"out": weight.unflatten(1, (-1, head_dim)), "out_bias": bias}


def mlp(module: nn.Module, hidden: int, *, experts: int = 0, run: Map | None = None) -> Mlp:
    """A layer's MLP: its own module, with what it costs.

    Args:
        module: the MLP, or experts with their router.
        hidden: width of the residual stream.
        experts: experts that each token goes through; their weights are stacked in three dimensions.
        run: what calls the module; by default the module.

    Raises:
        Unknown: experts that are chosen by scores in half precision, where rounding, which no two engines
            share, decides between near ones.
    """
    stacked = [p.dtype for p in module.parameters() if p.ndim == 3]
    if stacked and stacked[0].itemsize < 4:
        raise Unknown(
            f"its experts are chosen by scores in {stacked[0]}, where rounding decides between near ones "
            "(in float32 it can)"
        )
    of_token = [
        p.numel() if p.ndim == 2 else p.numel() * experts // len(p)
        for name, p in module.named_parameters()
        if p.ndim > 1 and not name.endswith("bias")
    ]
    return Mlp(module if run is None else run, sum(of_token), max(of_token) // hidden)


def multiplied(factor: float, norm: Map | None = None) -> Map | None:
    """A norm followed by a factor; None for neither."""
    if factor == 1.0:
        return norm
    return lambda x: (x if norm is None else norm(x)) * factor


def used_layers(layers: Any, config: Any) -> Iterator[Any]:
    """The layers that the config counts."""
    yield from layers[: config.num_hidden_layers]


def unembedding(hf: Any) -> dict[str, Any]:
    """Weight and bias of the unembedding, as `Decoder` names them."""
    weight, bias = linear(hf.get_output_embeddings(), "unembedding")
    return {"head": weight, "head_bias": bias}
