"""Stock Transformers models whose layers keep only some heads, or no attention, or no MLP.

The package spex_mech holds this file and copies it into every compact checkpoint that it writes; it
needs nothing but torch and transformers >= 5. A compact model is the stock model, built as always
and then cut down to ``config.compact_layers``, one entry for every layer that is left::

    {"groups": [2, 1], "bias": false, "mlp": true}

``groups``: how many query heads share each key/value head (here three query heads, the first two on
one key/value head); empty where the attention is gone. ``bias``: whether a layer without heads still
adds the bias of its output projection. ``mlp``: whether the layer has its MLP. Everything else
(embeddings, rotary angles, caches, generation) is the stock model's own code.

OLMo 2 and 3 norm the queries of all heads together, and the keys. There the projections and norms of both
stay whole, with the rows of the heads that are left first; see `FirstOfNorm`.
"""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import nn
from transformers.pytorch_utils import Conv1D


class Compact:
    """Cuts a stock model down when it is built; mixed in before the stock class."""

    _auto_class = "AutoModelForCausalLM"  # save_pretrained copies this file beside the weights

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        stock: Any = super()
        stock.__init__(config, *args, **kwargs)
        body = stock.base_model
        layers = body.h if hasattr(body, "h") else body.layers
        plans = config.compact_layers or []
        if len(plans) != len(layers):
            raise ValueError(f"compact_layers has {len(plans)} entries for {len(layers)} layers")
        places = cache_places([bool(plan["groups"]) for plan in plans], config)
        for layer, plan, place in zip(layers, plans, places, strict=True):
            _cut_attention(layer, plan["groups"], plan["bias"], place)
            if not plan["mlp"]:
                layer.mlp = NoMLP()
                _drop(layer, [name for names in _norms(layer)[1] for name in names])


class NoMLP(nn.Module):
    """Stands where an MLP was and adds nothing."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Zero, whatever comes."""
        return hidden_states.new_zeros(())


class NoAttention(nn.Module):
    """Stands where attention was; adds nothing, or the bias of the output projection."""

    def __init__(self, projection: str, width: int | None) -> None:
        super().__init__()
        self.projection = projection
        if width is not None:
            bias = nn.Module()
            bias.bias = nn.Parameter(torch.zeros(width))
            setattr(self, projection, bias)

    def forward(self, hidden_states: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, None]:
        """The bias, or zero."""
        part = getattr(self, self.projection, None)
        return (hidden_states.new_zeros(()) if part is None else part.bias), None


class FirstOfNorm(nn.Module):
    """OLMo's norm of all heads together, of which the first entries are used: those of the heads left."""

    def __init__(self, norm: Any, entries: int) -> None:
        super().__init__()
        self.weight, self.eps, self.entries = norm.weight, norm.variance_epsilon, entries

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Norm (batch, tokens, all heads), give (batch, tokens, heads that are left)."""
        wide = hidden_states.float()
        normed = nn.functional.rms_norm(wide, wide.shape[-1:], eps=self.eps)
        return (self.weight * normed)[..., : self.entries].to(hidden_states.dtype)


class SpreadCache:
    """The cache as one layer's attention sees it: every query head gets its own key/value head.

    The keys and values themselves are stored once for each key/value head.
    """

    def __init__(self, cache: Any, groups: list[int]) -> None:
        self.cache, self.groups = cache, groups

    def update(self, keys: torch.Tensor, values: torch.Tensor, *where: Any, **options: Any) -> Any:
        """Store (batch, kv heads, tokens, width); return (batch, query heads, all tokens, width)."""
        if self.cache is not None:
            keys, values = self.cache.update(keys, values, *where, **options)
        return self._spread(keys), self._spread(values)

    def _spread(self, x: torch.Tensor) -> torch.Tensor:
        parts = [x[:, i, None].expand(-1, n, -1, -1) for i, n in enumerate(self.groups)]
        return torch.cat(parts, dim=1)


class HeadsConfig:
    """A config with another number of query heads; all else is the model's own, also where that changes."""

    def __init__(self, config: Any, num_attention_heads: int) -> None:
        self._config, self.num_attention_heads = config, num_attention_heads

    def __getattr__(self, name: str) -> Any:
        if name == "_config" or name.startswith("__"):  # not there yet while it is copied
            raise AttributeError(name)
        return getattr(self._config, name)


def cache_places(alive: list[bool], config: Any) -> list[int | None]:
    """Where each layer that has attention keeps its keys and values; None for the others.

    Transformers reads the number of tokens seen from the cache's first place, or from the first of a
    kind (full or sliding attention). Layers with attention therefore take the first places of their
    kind; ``config.layer_types`` names no kind that has lost all its layers.
    """
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * len(alive)
    free = {kind: [i for i, k in enumerate(kinds) if k == kind] for kind in set(kinds)}
    return [free[kind].pop(0) if lives else None for kind, lives in zip(kinds, alive, strict=True)]


def _cut_attention(layer: Any, groups: list[int], bias: bool, place: int | None) -> None:
    name = next(name for name in ("attn", "attention", "self_attn") if hasattr(layer, name))
    attention = getattr(layer, name)
    if groups:
        attention.layer_idx = place
        _narrow(attention, groups)
        return
    projection = next(x for x in ("c_proj", "dense", "o_proj") if hasattr(attention, x))
    out = getattr(attention, projection)
    setattr(layer, name, NoAttention(projection, len(out.bias) if bias else None))
    before, after = _norms(layer)[0]
    _drop(layer, before if bias else [*before, *after])


def _narrow(attention: Any, groups: list[int]) -> None:
    """Make room for fewer heads."""
    heads = sum(groups)
    if hasattr(attention, "c_attn"):  # GPT-2: query, key and value in one, as many of each
        hidden, width = attention.c_attn.nx, attention.head_dim
        attention.c_attn = Conv1D(3 * heads * width, hidden)
        attention.c_proj = Conv1D(hidden, heads * width)
        attention.num_heads, attention.split_size = heads, heads * width
        return
    if hasattr(attention, "query_key_value"):  # GPT-NeoX: query, key and value of each head in turn
        width = attention.head_size
        attention.query_key_value = _resized(attention.query_key_value, rows=3 * heads * width)
        attention.dense = _resized(attention.dense, columns=heads * width)
        return
    width = attention.head_dim
    if hasattr(attention, "qkv_proj"):  # Phi-3: all queries, then all keys, then all values
        rows = (heads + 2 * len(groups)) * width
        attention.qkv_proj = _resized(attention.qkv_proj, rows=rows)
        attention.config = HeadsConfig(attention.config, heads)
    elif norms_all_heads(attention):
        attention.q_norm = FirstOfNorm(attention.q_norm, heads * width)
        attention.k_norm = FirstOfNorm(attention.k_norm, len(groups) * width)
        attention.v_proj = _resized(attention.v_proj, rows=len(groups) * width)
    else:
        attention.q_proj = _resized(attention.q_proj, rows=heads * width)
        attention.k_proj = _resized(attention.k_proj, rows=len(groups) * width)
        attention.v_proj = _resized(attention.v_proj, rows=len(groups) * width)
    attention.o_proj = _resized(attention.o_proj, columns=heads * width)
    if hasattr(attention, "num_key_value_heads"):  # Phi-3, Seed-OSS and StableLM
        attention.num_heads, attention.num_key_value_heads = heads, len(groups)
    even = len(set(groups)) == 1
    attention.num_key_value_groups = groups[0] if even else 1
    if not even:
        attention.groups = groups
        attention.register_forward_pre_hook(_spread_cache, with_kwargs=True)


def norms_all_heads(attention: Any) -> bool:
    """Whether one norm is over the queries of all heads together (OLMo 2 and 3)."""
    norm = getattr(getattr(attention, "q_norm", None), "weight", None)
    return norm is not None and len(norm) == attention.q_proj.out_features != attention.head_dim


def _resized(
    linear: nn.Linear, *, rows: int | None = None, columns: int | None = None
) -> nn.Linear:
    """A linear map of another size, without weights of its own yet."""
    return nn.Linear(
        columns or linear.in_features, rows or linear.out_features, bias=linear.bias is not None
    )


def _spread_cache(attention: Any, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    cache = SpreadCache(kwargs.get("past_key_values"), attention.groups)
    return args, {**kwargs, "past_key_values": cache}


def _norms(layer: Any) -> tuple[tuple[list[str], list[str]], tuple[list[str], list[str]]]:
    """Names of the norms before and after attention, and before and after the MLP."""
    if hasattr(layer, "ln_1"):  # GPT-2
        return (["ln_1"], []), (["ln_2"], [])
    if hasattr(layer, "post_feedforward_layernorm"):  # Gemma 2 and 3, OLMo 2 and 3
        before = ["input_layernorm"], ["pre_feedforward_layernorm"]  # which OLMo has not
        first, second = ([x for x in names if hasattr(layer, x)] for names in before)
        return (first, ["post_attention_layernorm"]), (second, ["post_feedforward_layernorm"])
    return (["input_layernorm"], []), (["post_attention_layernorm"], [])


def _drop(layer: Any, names: list[str]) -> None:
    for name in names:
        setattr(layer, name, nn.Identity())


def _compact(stock: Any) -> Any:
    """The compact class of a stock class, with a config class that adds ``compact_layers``.

    A ``LlamaForCausalLM`` becomes a ``CompactLlamaForCausalLM`` of the model type ``compact_llama``.
    """
    name = stock.config_class.__name__.removesuffix("Config")
    config = type(
        f"Compact{name}Config",
        (stock.config_class,),
        {
            "__module__": __name__,
            "__doc__": f"A `{name}Config` with ``compact_layers``.",
            "__annotations__": {"compact_layers": list | None},
            "model_type": f"compact_{stock.config_class.model_type}",
            "_auto_class": "AutoConfig",
            "compact_layers": None,
        },
    )
    parts = {"__module__": __name__, "__doc__": f"{name}, cut down.", "config_class": config}
    return type(f"Compact{name}ForCausalLM", (Compact, stock), parts)


# The compact class of each stock class.
FAMILIES: dict[type, Any] = {
    stock: _compact(stock)
    for stock in (
        transformers.ArceeForCausalLM,
        transformers.Ernie4_5ForCausalLM,
        transformers.GPT2LMHeadModel,
        transformers.GPTNeoXForCausalLM,
        transformers.Gemma2ForCausalLM,
        transformers.Gemma3ForCausalLM,
        transformers.GemmaForCausalLM,
        transformers.GraniteForCausalLM,
        transformers.LlamaForCausalLM,
        transformers.MistralForCausalLM,
        transformers.Olmo2ForCausalLM,
        transformers.Olmo3ForCausalLM,
        transformers.Phi3ForCausalLM,
        transformers.Qwen2ForCausalLM,
        transformers.Qwen3ForCausalLM,
        transformers.SeedOssForCausalLM,
        transformers.SmolLM3ForCausalLM,
        transformers.StableLmForCausalLM,
        transformers.Starcoder2ForCausalLM,
    )
}
# Transformers finds the classes by their names.
for _class in FAMILIES.values():
    globals().update({c.__name__: c for c in (_class, _class.config_class)})
