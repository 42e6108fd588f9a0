"""Attention of chosen heads over prompts packed into one row, after a shared prefix if there is one.

Attention alone knows of places: queries, keys and values are computed once for each token, and copied to the
places of the prompts that begin with it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from spex_mech.ablation.fast.layout import Frame, Rotation, take
from spex_mech.ablation.fast.plan import Pick
from spex_mech.models.decoder import Block, Projection

KeyValue = tuple[torch.Tensor, torch.Tensor]
"""Keys and values (rows, tokens, groups, head_dim) of the groups that are needed."""


def attend(
    block: Block,
    normed: torch.Tensor,
    pick: Pick,
    past: KeyValue | None,
    frame: Frame,
    reading: bool,
) -> tuple[torch.Tensor, KeyValue]:
    """Attention of a block for the chosen heads.

    Returns:
        Per-head outputs (rows, t, heads, head_dim), at all tokens or, if ``reading``, at those whose
        scores are read; and the keys and values of the tokens.
    """
    key_value = keys_and_values(block, normed, pick, frame)
    keys, values = (take(x, frame.computed) for x in key_value)
    at, rotations = (frame.read, frame.read_rotations) if reading else (None, frame.rotations)
    rotation = None if block.rotary is None else rotations[block.rotary]
    queries = _project(block.q, take(normed, at), pick.heads, rotation)
    if not reading:
        queries = take(queries, frame.computed)
    masks = (frame.read_masks if reading else frame.masks)[block.window]
    parts, done = [], 0
    for segment, mask in zip(frame.segments, masks, strict=True):
        width = segment.width if mask is None else mask.shape[-2]
        segment_tokens = slice(done, done + segment.prompts * width)
        q = queries[:, segment_tokens].unflatten(1, (segment.prompts, width))
        k, v = (
            x[:, segment.tokens].unflatten(1, (segment.prompts, segment.width))
            for x in (keys, values)
        )
        if past is not None:
            k, v = (
                torch.cat([old[:, None].expand(*x.shape[:2], -1, -1, -1), x], dim=2)
                for old, x in zip(past, (k, v), strict=True)
            )
        if reading and mask is not None:
            mask = mask.expand(len(q), -1, -1, -1, -1).flatten(0, 1)
        q, k, v = (x.flatten(0, 1).transpose(1, 2) for x in (q, k, v))
        out = _attention(q, k, v, mask, block, pick).transpose(1, 2)
        parts.append(out.unflatten(0, (-1, segment.prompts)).flatten(1, 2))
        done = segment_tokens.stop
    out = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
    return out if reading else take(out, frame.firsts), key_value


def keys_and_values(block: Block, normed: torch.Tensor, pick: Pick, frame: Frame) -> KeyValue:
    """Keys and values of the groups that the chosen heads need, from the normalised residual stream."""
    rotation = None if block.rotary is None else frame.rotations[block.rotary]
    keys = _project(block.k, normed, pick.groups, rotation)
    return keys, block.v(normed, pick.groups)


def _project(
    projection: Projection,
    normed: torch.Tensor,
    heads: torch.Tensor | None,
    rotation: Rotation | None,
) -> torch.Tensor:
    """Queries or keys (rows, t, heads, head_dim), rotated to their positions."""
    x = projection(normed, heads)
    return x if rotation is None else _rotate(x, rotation)


def _attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor | None,
    block: Block,
    pick: Pick,
) -> torch.Tensor:
    """Attention of q (b, heads, t, head_dim) over k and v (b, groups, s, head_dim)."""
    shared = q.shape[1] != k.shape[1]
    fused = block.softcap is None and block.sinks is None
    # CUDA's fused kernels take grouped heads without a mask only.
    grouped = pick.share is not None and (mask is None or not q.is_cuda) and fused
    if shared and not grouped:
        k, v = k.index_select(1, pick.spread), v.index_select(1, pick.spread)
    if fused:
        return F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            is_causal=mask is None,
            scale=block.scaling,
            enable_gqa=shared and grouped,
        )
    scores = q @ k.transpose(2, 3) * block.scaling
    if block.softcap is not None:
        scores = torch.tanh(scores / block.softcap) * block.softcap
    if mask is None:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    if block.sinks is not None:
        sinks = block.sinks if pick.heads is None else block.sinks.index_select(0, pick.heads)
        sinks = sinks[:, None, None].expand(*scores.shape[:-1], 1)
        scores = torch.cat([scores, sinks], dim=-1)
    shares = scores.softmax(dim=-1, dtype=torch.float32).to(q.dtype)
    return (shares if block.sinks is None else shares[..., :-1]) @ v


def _rotate(x: torch.Tensor, rotation: Rotation) -> torch.Tensor:
    """Apply rotary embedding to (..., t, heads, head_dim); dimensions after the rotated ones stay."""
    cos, sin, interleaved = rotation
    rotated = cos.shape[-1]
    front = x if rotated == x.shape[-1] else x[..., :rotated]
    if interleaved:
        swapped = front.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
    else:
        swapped = front.roll(rotated // 2, dims=-1)
    out = torch.addcmul(front * cos, swapped, sin).to(x.dtype)
    return out if front is x else torch.cat([out, x[..., rotated:]], dim=-1)
