"""A decoder's weights and submodules under common names, whatever its architecture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import nn

Norm: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


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
