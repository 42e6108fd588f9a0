"""A decoder's weights and submodules under common names, whatever its architecture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F

Map: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""A map of single tokens, (..., hidden) -> (..., hidden), such as a norm."""

HeadNorm: TypeAlias = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]
"""A norm of queries or keys: (..., heads, head_dim), and which heads these are (None for all)."""


@dataclass(frozen=True)
class Projection:
    """A linear map into heads.

    Attributes:
        weight: (heads, head_dim, hidden).
        bias: (heads, head_dim), or None.
        norm: what the heads go through afterwards, or None.
        joint: whether the norm is over all heads together, so that one head needs all the others.
        clip: bound of the absolute values after that, or None.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None = None
    norm: HeadNorm | None = None
    joint: bool = False
    clip: float | None = None

    def __call__(self, x: torch.Tensor, heads: torch.Tensor | None) -> torch.Tensor:
        """Map (..., hidden) to (..., heads, head_dim); ``heads`` picks some, None takes all."""
        weight, bias = self.weight, self.bias
        if heads is not None and not self.joint:
            weight = weight.index_select(0, heads)
            bias = None if bias is None else bias.index_select(0, heads)
        flat = None if bias is None else bias.reshape(-1)
        out = F.linear(x, weight.reshape(-1, weight.shape[2]), flat)
        out = out.unflatten(-1, weight.shape[:2])
        if self.norm is not None:
            out = self.norm(out, heads)
        if heads is not None and self.joint:
            out = out.index_select(-2, heads)
        return out if self.clip is None else out.clamp(-self.clip, self.clip)


@dataclass(frozen=True)
class Rotary:
    """A rotary embedding.

    Attributes:
        angles: (a tensor of the model's dtype and device, positions (1, t)) -> cosines and sines of the
            rotated pairs, (1, t, pairs); the dimensions of a head after those pairs stay as they are.
        interleaved: whether dimensions 2 i and 2 i + 1 are a pair, instead of i and i + pairs.
    """

    angles: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
    interleaved: bool = False


@dataclass(frozen=True)
class Mlp:
    """What a layer does to single tokens: a dense MLP, or experts with their router.

    Attributes:
        run: (rows, tokens, hidden) -> (rows, tokens, hidden).
        work: multiplications of one token.
        width: largest number of inner entries of one token.
    """

    run: Map
    work: int
    width: int

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map (rows, tokens, hidden) to the same shape."""
        return self.run(x)


@dataclass(frozen=True)
class Block:
    """One layer.

    Attributes:
        attention_norm, mlp_norm: what attention and MLP read the residual stream through.
        q, k, v: projections into query and key/value heads.
        out: weight of the output projection, (hidden, heads, head_dim); and its bias.
        mlp: the MLP.
        scaling: factor of the attention scores.
        after_attention, after_mlp: what is done to the outputs before they are added to the stream, such as a
            norm or a factor, or None. It maps zero to zero. Outputs are removed behind it.
        parallel: whether the MLP reads the stream as attention does, before attention writes.
        softcap: bound of the attention scores, or None.
        rotary: place among the decoder's rotary embeddings of the one that turns queries and keys, or
            None for none.
        window: number of tokens, its own included, that each token sees; None for all before it.
        sinks: (heads,), scores of a place without a value to which each head attends as well, or None.
    """

    attention_norm: Map
    mlp_norm: Map
    q: Projection
    k: Projection
    v: Projection
    out: torch.Tensor
    out_bias: torch.Tensor | None
    mlp: Mlp
    scaling: float
    after_attention: Map | None = None
    after_mlp: Map | None = None
    parallel: bool = False
    softcap: float | None = None
    rotary: int | None = None
    window: int | None = None
    sinks: torch.Tensor | None = None


@dataclass(frozen=True)
class Decoder:
    """A model's parts in the order in which they act.

    Attributes:
        embed: (token ids, positions) -> residual stream.
        rotaries: the rotary embeddings that the layers use.
        blocks: the layers.
        norm: the last norm.
        head: weight of the unembedding (vocabulary, hidden); and its bias.
        logit_scale: factor of the logits.
        softcap: bound of the logits after that, or None.
    """

    embed: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    rotaries: tuple[Rotary, ...]
    blocks: tuple[Block, ...]
    norm: Map
    head: torch.Tensor
    head_bias: torch.Tensor | None
    logit_scale: float = 1.0
    softcap: float | None = None
