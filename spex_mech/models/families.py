"""How each Hugging Face architecture is read: its weights and submodules under common names.

Nothing is copied and nothing is changed: projections are views of the model's own tensors, norms and
MLPs are its own modules. `read_decoder` takes only what it knows to the last detail and says what
stands in the way of the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import nn
from transformers.pytorch_utils import Conv1D

Norm: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
_STEADY_ROPE = ("default", "linear", "llama3", "yarn")


@dataclass(frozen=True)
class Projection:
    """A linear map into heads: weight (heads, head_dim, hidden), bias (heads, head_dim) or None."""

    weight: torch.Tensor
    bias: torch.Tensor | None = None

    def __call__(self, x: torch.Tensor, heads: torch.Tensor | None) -> torch.Tensor:
        """Map (..., hidden) to (..., heads, head_dim); ``heads`` picks some, None takes all."""
        weight, bias = self.weight, self.bias
        if heads is not None:
            weight = weight.index_select(0, heads)
            bias = None if bias is None else bias.index_select(0, heads)
        flat = None if bias is None else bias.reshape(-1)
        out = F.linear(x, weight.reshape(-1, weight.shape[2]), flat)
        return out.unflatten(-1, weight.shape[:2])


@dataclass(frozen=True)
class Block:
    """One layer.

    Attributes:
        attention_norm, mlp_norm: what attention and MLP read the residual stream through.
        q, k, v: projections into query and key/value heads.
        q_norm, k_norm: norms of single heads, or None.
        out: weight of the output projection, (hidden, heads, head_dim); and its bias.
        mlp: the MLP.
        after_attention, after_mlp: norms of what is written back, or None.
        parallel: whether the MLP reads the stream as attention does, before attention writes.
        scaling: factor of the attention scores.
        softcap: bound of the attention scores, or None.
    """

    attention_norm: Norm
    mlp_norm: Norm
    q: Projection
    k: Projection
    v: Projection
    out: torch.Tensor
    out_bias: torch.Tensor | None
    mlp: nn.Module
    scaling: float
    q_norm: Norm | None = None
    k_norm: Norm | None = None
    after_attention: Norm | None = None
    after_mlp: Norm | None = None
    parallel: bool = False
    softcap: float | None = None


@dataclass(frozen=True)
class Decoder:
    """A model's parts in the order in which they act.

    Attributes:
        embed: (token ids, positions) -> residual stream.
        rotary: (stream, positions) -> cosines and sines, each (1, tokens, rotated dims); or None.
        blocks: the layers.
        norm: the last norm.
        head: weight of the unembedding (vocabulary, hidden); and its bias.
        softcap: bound of the logits, or None.
        window: tokens beyond which some layer no longer sees the whole prompt, or None.
    """

    embed: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    rotary: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]] | None
    blocks: tuple[Block, ...]
    norm: Norm
    head: torch.Tensor
    head_bias: torch.Tensor | None
    softcap: float | None = None
    window: int | None = None


class Unknown(Exception):
    """Why a model cannot be read."""


def read_decoder(hf: Any) -> Decoder:
    """Read a Hugging Face causal language model.

    Raises:
        Unknown: an architecture or option that is not known; the message continues "because ...".
    """
    name = type(hf).__name__
    if name not in _FAMILIES or not type(hf).__module__.startswith("transformers.models."):
        raise Unknown(f"its architecture, {name}, is not among {', '.join(sorted(_FAMILIES))}")
    _check_plain(hf)
    return _FAMILIES[name](hf)


def _check_plain(hf: Any) -> None:
    for path, module in hf.named_modules():
        if module._forward_hooks or module._forward_pre_hooks:
            raise Unknown(f"its module {path!r} carries hooks")
        if not type(module).__module__.startswith(("transformers.", "torch.nn.modules.")):
            raise Unknown(f"its module {path!r} is a {type(module).__name__}")
        if module.training:
            raise Unknown(f"its module {path!r} is in training mode")
    kinds = {(p.device, p.dtype) for p in hf.parameters()}
    if len(kinds) > 1:
        listed = sorted(f"{device} {dtype}" for device, dtype in kinds)
        raise Unknown(f"its weights are spread over {', '.join(listed)}")
    if any(d.type == "meta" or not dtype.is_floating_point for d, dtype in kinds):
        raise Unknown("its weights are quantised or offloaded")
    if getattr(hf.config, "quantization_config", None) is not None:
        raise Unknown("its weights are quantised")


def _rotary(body: Any, config: Any) -> Callable:
    kind = config.rope_parameters.get("rope_type", "default")
    if kind not in _STEADY_ROPE:
        raise Unknown(f"its rotary embedding is {kind!r}, whose angles depend on the batch")
    return body.rotary_emb


def _window(config: Any) -> int | None:
    """The sliding window where some layer has one."""
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


def _linear(module: nn.Module, what: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight (out, in) and bias of a plain linear map."""
    if type(module) is nn.Linear:
        return module.weight.detach(), None if module.bias is None else module.bias.detach()
    if type(module) is Conv1D:
        return module.weight.detach().t(), module.bias.detach()
    raise Unknown(f"its {what} is a {type(module).__name__}, not a plain linear map")


def _heads(
    weight: torch.Tensor, bias: torch.Tensor | None, head_dim: int, rows: slice = slice(None)
) -> Projection:
    part = None if bias is None else bias[rows].unflatten(0, (-1, head_dim))
    return Projection(weight[rows].unflatten(0, (-1, head_dim)), part)


def _qkv(attention: Any, config: Any, fused: str | None = None) -> dict[str, Projection]:
    """Projections from q_proj, k_proj, v_proj, or from one that stacks query, key and value rows."""
    hd = attention.head_dim
    if fused is None:
        names = {x: getattr(attention, f"{x}_proj") for x in "qkv"}
        return {x: _heads(*_linear(m, f"{x}_proj"), hd) for x, m in names.items()}
    weight, bias = _linear(getattr(attention, fused), fused)
    q = config.num_attention_heads * hd
    kv = (len(weight) - q) // 2
    rows = {"q": slice(0, q), "k": slice(q, q + kv), "v": slice(q + kv, None)}
    return {x: _heads(weight, bias, hd, r) for x, r in rows.items()}


def _out(module: nn.Module, head_dim: int) -> dict[str, Any]:
    weight, bias = _linear(module, "output projection")
    return {"out": weight.unflatten(1, (-1, head_dim)), "out_bias": bias}


def _llama_block(layer: Any, config: Any, fused: str | None = None) -> Block:
    attention = layer.self_attn
    if not hasattr(layer.mlp, "down_proj"):
        raise Unknown(f"its MLP is a {type(layer.mlp).__name__}")
    sandwich = hasattr(layer, "pre_feedforward_layernorm")  # Gemma 2
    after = layer.post_attention_layernorm
    return Block(
        attention_norm=layer.input_layernorm,
        mlp_norm=layer.pre_feedforward_layernorm if sandwich else after,
        **_qkv(attention, config, fused),
        **_out(attention.o_proj, attention.head_dim),
        mlp=layer.mlp,
        scaling=attention.scaling,
        q_norm=getattr(attention, "q_norm", None),
        k_norm=getattr(attention, "k_norm", None),
        after_attention=after if sandwich else None,
        after_mlp=layer.post_feedforward_layernorm if sandwich else None,
        softcap=getattr(attention, "attn_logit_softcapping", None),
    )


def _llama(hf: Any) -> Decoder:
    """Llama, Mistral, Qwen 2 and 3, Gemma 1 and 2, and Phi 3 with its stacked projections."""
    body, config = hf.model, hf.config
    fused = "qkv_proj" if hasattr(body.layers[0].self_attn, "qkv_proj") else None
    return Decoder(
        embed=lambda ids, positions: body.embed_tokens(ids),
        rotary=_rotary(body, config),
        blocks=tuple(_llama_block(layer, config, fused) for layer in _layers(body.layers, config)),
        norm=body.norm,
        **_head(hf),
        softcap=getattr(config, "final_logit_softcapping", None),
        window=_window(config),
    )


def _gpt2(hf: Any) -> Decoder:
    body, config = hf.transformer, hf.config
    if config.add_cross_attention:
        raise Unknown("it has cross-attention")
    blocks = [
        Block(
            attention_norm=layer.ln_1,
            mlp_norm=layer.ln_2,
            **_qkv(layer.attn, config, "c_attn"),
            **_out(layer.attn.c_proj, layer.attn.head_dim),
            mlp=layer.mlp,
            scaling=layer.attn.scaling,
        )
        for layer in _layers(body.h, config)
    ]
    return Decoder(
        embed=lambda ids, positions: body.wte(ids) + body.wpe(positions),
        rotary=None,
        blocks=tuple(blocks),
        norm=body.ln_f,
        **_head(hf),
    )


def _gpt_neox(hf: Any) -> Decoder:
    body, config = hf.gpt_neox, hf.config

    def block(layer: Any) -> Block:
        attention = layer.attention
        weight, bias = _linear(attention.query_key_value, "query_key_value")
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
            **_out(attention.dense, attention.head_size),
            mlp=layer.mlp,
            scaling=attention.scaling,
            parallel=layer.use_parallel_residual,
        )

    return Decoder(
        embed=lambda ids, positions: body.embed_in(ids),
        rotary=_rotary(body, config),
        blocks=tuple(block(layer) for layer in _layers(body.layers, config)),
        norm=body.final_layer_norm,
        **_head(hf),
    )


def _phi(hf: Any) -> Decoder:
    body, config = hf.model, hf.config
    if config.qk_layernorm:
        raise Unknown("its heads have norms (qk_layernorm), which the reference does not know")

    def block(layer: Any) -> Block:
        attention = layer.self_attn
        return Block(
            attention_norm=layer.input_layernorm,
            mlp_norm=layer.input_layernorm,
            **_qkv(attention, config),
            **_out(attention.dense, attention.head_dim),
            mlp=layer.mlp,
            scaling=attention.scaling,
            parallel=True,
        )

    return Decoder(
        embed=lambda ids, positions: body.embed_tokens(ids),
        rotary=_rotary(body, config),
        blocks=tuple(block(layer) for layer in _layers(body.layers, config)),
        norm=body.final_layernorm,
        **_head(hf),
    )


def _layers(layers: Any, config: Any) -> Iterator[Any]:
    yield from layers[: config.num_hidden_layers]


def _head(hf: Any) -> dict[str, Any]:
    weight, bias = _linear(hf.get_output_embeddings(), "unembedding")
    return {"head": weight, "head_bias": bias}


_FAMILIES: dict[str, Callable[[Any], Decoder]] = {
    "GPT2LMHeadModel": _gpt2,
    "GPTNeoXForCausalLM": _gpt_neox,
    "Gemma2ForCausalLM": _llama,
    "GemmaForCausalLM": _llama,
    "LlamaForCausalLM": _llama,
    "MistralForCausalLM": _llama,
    "Phi3ForCausalLM": _llama,
    "PhiForCausalLM": _phi,
    "Qwen2ForCausalLM": _llama,
    "Qwen3ForCausalLM": _llama,
}
