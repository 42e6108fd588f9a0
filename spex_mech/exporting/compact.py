"""Cutting a model in memory: the weights that stay, in a compact or a smaller stock model."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from transformers import GPT2LMHeadModel, GPTNeoXForCausalLM, StableLmForCausalLM
from transformers.pytorch_utils import Conv1D

from spex_mech.core.errors import InputError
from spex_mech.exporting.cuts import LayerCut, is_even
from spex_mech.models.modeling_compact import FAMILIES, norms_all_heads

# Projections that change: which dimension runs over which heads.
_OVER = {
    "q_proj.weight": (0, "query"),
    "q_proj.bias": (0, "query"),
    "k_proj.weight": (0, "kv"),
    "k_proj.bias": (0, "kv"),
    "v_proj.weight": (0, "kv"),
    "v_proj.bias": (0, "kv"),
    "o_proj.weight": (1, "query"),
    "qkv_proj.weight": (0, "stacked"),
    "query_key_value.weight": (0, "triple"),
    "query_key_value.bias": (0, "triple"),
    "attention.dense.weight": (1, "query"),
    "attn.c_attn.weight": (1, "fused"),
    "attn.c_attn.bias": (0, "fused"),
    "attn.c_proj.weight": (0, "query"),
}
# Where one norm is over all heads: all rows stay, those of kept heads first.
_REORDERED = {
    **{f"q_{part}": (0, "queries first") for part in ("proj.weight", "proj.bias", "norm.weight")},
    **{f"k_{part}": (0, "keys first") for part in ("proj.weight", "proj.bias", "norm.weight")},
}


def cut_model(hf: Any, state: dict[str, torch.Tensor], kept: list[LayerCut]) -> Any:
    """A model that has only what is kept; a stock one where all layers keep equally much.

    Args:
        hf: the Hugging Face model to cut; it is not changed.
        state: its state dict with the removed parts zeroed and any rescaling folded in. Tensors that
            are not cut are shared with the new model.
        kept: what is left of each layer that is left, in order.

    Returns:
        A Hugging Face model of a class of `modeling_compact`, or of the class of ``hf``.

    Raises:
        InputError: a model that cannot be cut; the message says why and offers a dense export.
    """
    check_cuttable(hf)
    small = _built(hf, _config(hf, kept))
    weights = {name: _cut(name, state, kept, hf) for name in small.state_dict()}
    small.load_state_dict(weights, assign=True)
    _take_buffers(small, hf)
    small.tie_weights()
    small.generation_config = copy.deepcopy(hf.generation_config)
    return small.eval()


def stock_can_hold(hf: Any, kept: list[LayerCut]) -> bool:
    """Whether the model's own architecture, only smaller, can hold what is kept."""
    return is_even(kept) and width_fault(hf, kept[0]) is None


def width_fault(hf: Any, cut: LayerCut) -> str | None:
    """Why the config of a model cannot have the heads of ``cut`` in all layers; None if it can."""
    n_heads, name = len(cut.heads), type(hf).__name__
    if n_heads == hf.config.num_attention_heads:
        return None
    if heads_are_normed_together(hf):
        return f"the norms of a {name} are over all {hf.config.num_attention_heads} heads of a layer together"
    if not _explicit_width(hf):
        return (
            f"the config of a {name} has no head width of its own, so every layer needs all "
            f"{hf.config.num_attention_heads} heads"
        )
    values = {**hf.config.to_dict(), **_numbers(hf, cut)}
    try:  # some demand that the number of heads divides the hidden size, although a head has its own width
        type(hf.config).from_dict(values)
    except Exception as error:
        return f"the config of a {name} does not take {n_heads} heads a layer: {error.__cause__ or error}"
    return None


def check_cuttable(hf: Any) -> None:
    """Refuse a model that cannot be cut.

    Raises:
        InputError: an unknown architecture, quantised or offloaded weights, cross-attention.
    """
    reason = _obstacle(hf)
    if reason:
        raise InputError(
            f"a compact export of this {type(hf).__name__} is not possible: {reason}; use "
            "mode='dense', which zeroes what is removed and keeps the architecture"
        )


def has_output_bias(hf: Any) -> bool:
    """Whether attention adds a bias to what its heads write."""
    return _projections(_attention(_layers(hf)[0]))[-1].bias is not None


def heads_are_normed_together(hf: Any) -> bool:
    """Whether one norm is over all heads of a layer, so that each head needs the queries of all."""
    return norms_all_heads(_attention(_layers(hf)[0]))


def _obstacle(hf: Any) -> str | None:
    if type(hf) in FAMILIES.values() or hasattr(hf.config, "compact_layers"):
        return "it is compact already, cut the model that it was made from"
    if type(hf) not in FAMILIES:
        known = ", ".join(sorted(stock.__name__ for stock in FAMILIES))
        return f"only these architectures are known in every detail: {known}"
    if getattr(hf.config, "add_cross_attention", False):
        return "it has cross-attention"
    for layer in _layers(hf):
        if getattr(layer, "post_attention_layernorm", layer) is None:
            return "its MLP and its attention share a norm (use_parallel_residual)"
        if getattr(_attention(layer), "qk_layernorm", False):
            return "each of its heads has a norm of its own (qk_layernorm)"
        for part in _projections(_attention(layer)):
            if type(part) not in (nn.Linear, Conv1D):
                return f"a projection is a {type(part).__name__}, not a plain linear map"
    for name, weight in hf.named_parameters():
        if weight.device.type == "meta" or not weight.is_floating_point():
            return f"its weight {name!r} is offloaded or quantised"
    return None


def _config(hf: Any, kept: list[LayerCut]) -> Any:
    """The cut model's config: a stock one of smaller numbers, or one with ``compact_layers``."""
    old = hf.config
    values = old.to_dict()
    for name in ("model_type", "architectures", "transformers_version", "auto_map"):
        values.pop(name, None)
    values["n_layer" if "n_layer" in values else "num_hidden_layers"] = len(kept)
    if values.get("layer_types"):
        values["layer_types"] = _layer_types(values["layer_types"], kept)
    if values.get("no_rope_layers"):
        values["no_rope_layers"] = [values["no_rope_layers"][cut.layer] for cut in kept]
    if stock_can_hold(hf, kept):
        config_class = type(old)
        if _explicit_width(hf):
            values |= _numbers(hf, kept[0])
    else:
        config_class = FAMILIES[type(hf)].config_class
        values["compact_layers"] = [cut.entry() for cut in kept]
    config = config_class.from_dict(values)
    config._attn_implementation = old._attn_implementation
    config._name_or_path = ""
    return config


def _numbers(hf: Any, cut: LayerCut) -> dict[str, int]:
    """What the config of a model says of the heads of every layer."""
    return {
        "head_dim": _head_width(hf),
        "num_attention_heads": len(cut.heads),
        "num_key_value_heads": len(cut.groups),
    }


def _layer_types(kinds: list[str], kept: list[LayerCut]) -> list[str]:
    """Kinds of the layers left; those without attention take the kind of the first that has some.

    Transformers asks the first layer of each kind in the cache how many tokens it has seen.
    """
    alive = [kinds[cut.layer] for cut in kept if cut.heads]
    spare = alive[0] if alive else kinds[0]
    return [kinds[cut.layer] if cut.heads else spare for cut in kept]


def _built(hf: Any, config: Any) -> Any:
    """The cut model without weights."""
    stock = type(config) is type(hf.config)
    with torch.device("meta"):
        return (type(hf) if stock else FAMILIES[type(hf)])(config)


def _cut(name: str, state: dict[str, torch.Tensor], kept: list[LayerCut], hf: Any) -> torch.Tensor:
    """The cut model's tensor of this name."""
    path = name.split(".")
    at = next((i for i, part in enumerate(path) if part.isdigit()), None)
    if at is None:
        return state[name]
    cut = kept[int(path[at])]
    path[at] = str(cut.layer)
    tensor = state[".".join(path)]
    joint = heads_are_normed_together(hf)
    for ending, (dim, kind) in (_OVER | _REORDERED if joint else _OVER).items():
        if name.endswith(f".{ending}"):
            width = _head_width(hf) * (3 if kind == "triple" else 1)
            return _select(tensor, dim, _heads(kind, cut, hf), width)
    return tensor


def _heads(kind: str, cut: LayerCut, hf: Any) -> list[int]:
    if kind == "fused":  # all queries, then all keys, then all values
        n = hf.config.num_attention_heads
        return [part * n + h for part in range(3) for h in cut.heads]
    if kind == "stacked":  # the same, with fewer keys and values
        n, n_kv = hf.config.num_attention_heads, hf.config.num_key_value_heads
        return [*cut.heads, *(start + kv for start in (n, n + n_kv) for kv in cut.kv_heads)]
    if kind == "queries first":
        return [
            *cut.heads,
            *(h for h in range(hf.config.num_attention_heads) if h not in cut.heads),
        ]
    if kind == "keys first":
        every, kept = range(hf.config.num_key_value_heads), cut.kv_heads
        return [*kept, *(kv for kv in every if kv not in kept)]
    return list(cut.kv_heads if kind == "kv" else cut.heads)


def _select(tensor: torch.Tensor, dim: int, heads: list[int], width: int) -> torch.Tensor:
    index = torch.tensor(heads, device=tensor.device)
    by_head = tensor.unflatten(dim, (-1, width))
    return by_head.index_select(dim, index).flatten(dim, dim + 1).contiguous()


def _take_buffers(small: Any, hf: Any) -> None:
    """Share what is not saved with the weights, such as rotary frequencies."""
    taken = dict(small.named_buffers())
    for name, buffer in hf.named_buffers():
        path, _, last = name.rpartition(".")
        if name in taken:
            setattr(small.get_submodule(path), last, buffer)


def _explicit_width(hf: Any) -> bool:
    return not isinstance(hf, (GPT2LMHeadModel, GPTNeoXForCausalLM, StableLmForCausalLM))


def _head_width(hf: Any) -> int:
    attention = _attention(_layers(hf)[0])
    return attention.head_size if hasattr(attention, "head_size") else attention.head_dim


def _layers(hf: Any) -> Any:
    body = hf.base_model
    return body.h if hasattr(body, "h") else body.layers


def _attention(layer: Any) -> Any:
    return next(getattr(layer, x) for x in ("attn", "attention", "self_attn") if hasattr(layer, x))


def _projections(attention: Any) -> list[Any]:
    """The linear maps that are cut, the output projection last."""
    names = (
        *("c_attn", "query_key_value", "qkv_proj", "q_proj", "k_proj", "v_proj"),
        *("c_proj", "dense", "o_proj"),
    )
    return [getattr(attention, name) for name in names if hasattr(attention, name)]
