"""A forward pass that knows its masks and computes only what some score depends on.

Streams are (rows, prompts, tokens, hidden): a row for all masks that agree so far (`fast_plan`). The
numbers are those of the reference: heads act at the input of the output projection (``hook_z``),
attention and MLP outputs where they are added to the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from spex_mech.ablation.families import Block, Decoder, Projection
from spex_mech.ablation.fast_plan import Pick, Step

KeyValue = tuple[torch.Tensor, torch.Tensor]
"""Keys and values (rows, prompts, tokens, groups, head_dim) of the groups that are needed."""

Fills = Mapping[str, torch.Tensor]
"""site -> what removed entries become: for all positions, or (prompts, tokens, ...); missing = zero."""

Watch = Callable[[str, torch.Tensor], None]


def sites(layer: int) -> tuple[str, str, str]:
    """TransformerLens' names of a layer's heads, attention output and MLP output."""
    block = f"blocks.{layer}"
    return f"{block}.attn.hook_z", f"{block}.hook_attn_out", f"{block}.hook_mlp_out"


@dataclass(frozen=True)
class Entry:
    """What the first ablated layer needs and no mask changes, for some prompts.

    Attributes:
        stream: (1, p, t, hidden) before the layer; or after its attention if that is never ablated.
        heads: (1, p, t, heads, head_dim), its per-head outputs; None if they are never ablated.
        mlp: (1, p, t, hidden), its MLP's output where that does not depend on the mask.
    """

    stream: torch.Tensor
    heads: torch.Tensor | None
    mlp: torch.Tensor | None

    def __getitem__(self, prompts: slice) -> Entry:
        parts = (self.stream, self.heads, self.mlp)
        return Entry(*(None if x is None else x[:, prompts] for x in parts))  # pyright: ignore

    @property
    def nbytes(self) -> int:
        """Memory held."""
        parts = (self.stream, self.heads, self.mlp)
        return sum(x.nbytes for x in parts if x is not None)


class Forward:
    """Forward passes of one model over prompts of at most ``longest`` tokens."""

    def __init__(self, decoder: Decoder, full: Step, longest: int) -> None:
        self.decoder, self._full = decoder, full
        self._last = len(decoder.blocks) - 1
        head = decoder.head
        self._positions = torch.arange(longest, device=head.device)
        self._turn: KeyValue | None = None
        if decoder.rotary is not None:
            cos, sin = decoder.rotary(head[:1], self._positions[None])
            self._turn = cos[0, :, None], sin[0, :, None]
        self._masks: dict[tuple[int, int], torch.Tensor] = {}

    def enter(
        self,
        ids: torch.Tensor,
        first: int,
        *,
        gated: bool,
        reads: torch.Tensor | None = None,
        past: Sequence[KeyValue | None] = (),
        keep: list[KeyValue | None] | None = None,
        watch: Watch | None = None,
    ) -> Entry:
        """Run the layers before the first ablated one, and of that one what no mask changes.

        Args:
            ids: int64 (p, t) token ids.
            first: the first ablated layer; the number of layers runs them all.
            gated: whether its heads or attention output can be removed.
            reads: int64 (p, r) positions that are read, or None for all.
            past: keys and values of a prefix that stands before every prompt, layer by layer.
            keep: collects the keys and values of these prompts.
            watch: called with each site's name and activation (p, t, ...).
        """
        offset = 0 if not past or past[0] is None else past[0][0].shape[2]
        positions = self._positions[offset : offset + ids.shape[1]]
        stream = self.decoder.embed(ids, positions[None])[None]
        before = [*past, *[None] * (self._last + 1 - len(past))]
        for layer in range(min(first, self._last + 1)):
            stream, made = self._layer(
                layer, self._full, Entry(stream, None, None), {}, None, before[layer], watch
            )
            if keep is not None:
                keep.append(made)
        if first > self._last:
            return Entry(stream, None, None)
        block, at = self.decoder.blocks[first], reads if first == self._last else None
        normed = block.attention_norm(stream)
        heads, made = self._attend(block, normed, self._full.pick, before[first], at)
        if keep is not None:
            keep.append(made)
        read = _take(stream, at)
        if gated:
            beside = self._mlp(block, read) if block.parallel else None
            return Entry(read, heads, beside)
        written = _gate(self._write(block, self._full, heads, None), None, None, read, None)
        return Entry(written, None, self._mlp(block, read if block.parallel else written))

    def run(
        self,
        first: int,
        steps: Sequence[Step],
        entry: Entry,
        fills: Fills,
        *,
        reads: torch.Tensor | None = None,
        past: Sequence[KeyValue | None] = (),
        keep: list[KeyValue | None] | None = None,
    ) -> torch.Tensor:
        """Run the layers from the first ablated one.

        Args:
            first: the first ablated layer.
            steps: what the block of masks does in each layer from there on.
            entry: what `enter` gave for the prompts.
            fills: what removed parts become.
            reads: int64 (p, r) positions that are read, or None for all.
            past: keys and values of a prefix for each of the layers.
            keep: collects those of these prompts; nothing is then read, and the last layer stops there.

        Returns:
            The stream after the last layer, (rows, p, r, hidden).
        """
        for i, step in enumerate(steps):
            layer = first + i
            if keep is not None and layer == self._last:
                made = None
                if i > 0 and step.pick.count:
                    block = self.decoder.blocks[layer]
                    made = self._keys(block, block.attention_norm(entry.stream), step.pick, 0)
                keep.append(made)
                break
            stream, made = self._layer(
                layer, step, entry, fills, reads, past[i] if past else None, None
            )
            if keep is not None:
                keep.append(made)
            entry = Entry(stream, None, None)
        return entry.stream

    def _layer(
        self,
        layer: int,
        step: Step,
        entry: Entry,
        fills: Fills,
        reads: torch.Tensor | None,
        past: KeyValue | None,
        watch: Watch | None,
    ) -> tuple[torch.Tensor, KeyValue | None]:
        block, (at_heads, at_attention, at_mlp) = self.decoder.blocks[layer], sites(layer)
        at = reads if layer == self._last else None
        known, made = entry.heads is not None or entry.mlp is not None, None
        stream = entry.stream if known else _take(entry.stream, at)
        mlp = entry.mlp
        if mlp is None and block.parallel and step.mlp_rows is None:
            mlp = self._mlp(block, stream)
        elif mlp is None and block.parallel and len(_some(step.mlp_rows)):
            mlp = self._mlp(block, stream[step.mlp_rows])

        if entry.heads is None and known:
            written = stream  # attention has been added before
        else:
            heads = entry.heads
            if heads is not None:
                chosen = step.pick.heads
                heads = heads if chosen is None else heads.index_select(3, chosen)
            elif step.pick.count:
                normed = block.attention_norm(entry.stream)
                heads, made = self._attend(block, normed, step.pick, past, at)
            if watch is not None and heads is not None:
                watch(at_heads, heads[0])
            fill = _at(fills.get(at_heads), at, 4)
            out = self._write(block, step, heads, fill)
            if watch is not None and out is not None:
                watch(at_attention, out[0])
            written = _gate(
                out, step.attention, _at(fills.get(at_attention), at, 3), stream, step.parent
            )

        if mlp is None and not block.parallel and step.mlp_rows is None:
            mlp = self._mlp(block, written)
        elif mlp is None and not block.parallel and len(_some(step.mlp_rows)):
            mlp = self._mlp(block, written[step.mlp_rows])
        if watch is not None and mlp is not None:
            watch(at_mlp, mlp[0])
        if mlp is not None and step.mlp_place is not None:
            mlp = _spread(mlp, step.mlp_place)
        fill = _at(fills.get(at_mlp), at, 3)
        return _gate(mlp, step.mlp, fill, written, step.mlp_parent), made

    def _mlp(self, block: Block, stream: torch.Tensor) -> torch.Tensor:
        out = block.mlp(block.mlp_norm(stream))
        return out if block.after_mlp is None else block.after_mlp(out)

    def _write(
        self, block: Block, step: Step, heads: torch.Tensor | None, fill: torch.Tensor | None
    ) -> torch.Tensor | None:
        """The attention output (rows, p, t, hidden) of per-head outputs; None for nothing."""
        chosen, constant = step.pick.heads, None
        if fill is not None and step.dead is not None:
            dead = fill.index_select(-2, step.dead).flatten(-2)
            constant = F.linear(dead, block.out.index_select(1, step.dead).flatten(1))
        if heads is None or not step.pick.count:
            out = constant
            if block.out_bias is not None:
                out = block.out_bias if out is None else out + block.out_bias
            if out is None:
                return None
            out = out[(None,) * (4 - out.ndim)]
        else:
            alike = step.keep is None and step.factor is None
            heads = heads if alike else self._scale(step, _spread(heads, step.parent), fill)
            weight = block.out if chosen is None else block.out.index_select(1, chosen)
            out = F.linear(heads.flatten(-2), weight.flatten(1), block.out_bias)
            out = _spread(out, step.parent) if alike else out
            out = out if constant is None else out.add_(constant)
        return out if block.after_attention is None else block.after_attention(out)

    def _scale(self, step: Step, heads: torch.Tensor, fill: torch.Tensor | None) -> torch.Tensor:
        """Scale kept heads and fill removed ones, (rows, p, t, picked heads, head_dim)."""
        if step.factor is not None:
            heads = heads * step.factor[:, None, None, :, None].to(heads)
        if step.keep is None:
            return heads
        other = heads.new_zeros(())
        if fill is not None:
            chosen = step.pick.heads
            other = fill if chosen is None else fill.index_select(-2, chosen)
        return torch.where(step.keep[:, None, None, :, None], heads, other)

    def _keys(self, block: Block, normed: torch.Tensor, pick: Pick, offset: int) -> KeyValue:
        stop = offset + normed.shape[2]
        keys = self._project(block.k, block.k_norm, normed, pick.groups, slice(offset, stop))
        return keys, block.v(normed, pick.groups)

    def _project(
        self,
        projection: Projection,
        norm: Callable | None,
        normed: torch.Tensor,
        heads: torch.Tensor | None,
        positions: slice | torch.Tensor,
    ) -> torch.Tensor:
        """Queries or keys (rows, p, t, heads, head_dim), normed and turned to their positions."""
        x = projection(normed, heads)
        x = x if norm is None else norm(x)
        if self._turn is None:
            return x
        return _rotate(x, self._turn[0][positions], self._turn[1][positions])

    def _attend(
        self,
        block: Block,
        normed: torch.Tensor,
        pick: Pick,
        past: KeyValue | None,
        reads: torch.Tensor | None,
    ) -> tuple[torch.Tensor, KeyValue]:
        """Per-head outputs (rows, p, t, heads, head_dim), and the keys and values made."""
        rows, prompts, tokens = normed.shape[:3]
        offset = 0 if past is None else past[0].shape[2]
        made = keys, values = self._keys(block, normed, pick, offset)
        at = slice(offset, offset + tokens) if reads is None else offset + reads
        queries = self._project(block.q, block.q_norm, _take(normed, reads), pick.heads, at)
        if past is not None:
            keys, values = (
                torch.cat([old.expand(rows, prompts, -1, -1, -1), new], dim=2)
                for old, new in zip(past, made, strict=True)
            )
        mask = self._mask(offset, tokens, reads)
        if mask is not None and reads is not None:
            mask = mask.expand(rows, -1, -1, -1, -1).flatten(0, 1)
        q, k, v = (x.flatten(0, 1).transpose(1, 2) for x in (queries, keys, values))
        out = _attention(q, k, v, mask, block, pick)
        return out.transpose(1, 2).unflatten(0, (rows, prompts)), made

    def _mask(self, offset: int, tokens: int, reads: torch.Tensor | None) -> torch.Tensor | None:
        """Which keys each query may see; None where causality alone says it.

        Padding stands on the right, where causality keeps it from every token that is read.
        """
        if reads is not None:
            key = self._positions[: offset + tokens]
            return (key <= offset + reads[:, :, None])[None, :, None]
        if not offset:
            return None
        found = self._masks.get((offset, tokens))
        if found is None:
            key, query = self._positions[: offset + tokens], self._positions[:tokens, None]
            found = self._masks[offset, tokens] = key <= offset + query
        return found


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
    # CUDA's fused kernels take grouped heads without a mask only.
    grouped = pick.share is not None and (mask is None or not q.is_cuda) and block.softcap is None
    if shared and not grouped:
        k, v = k.index_select(1, pick.spread), v.index_select(1, pick.spread)
    if block.softcap is None:
        return F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            is_causal=mask is None,
            scale=block.scaling,
            enable_gqa=shared and grouped,
        )
    scores = torch.tanh(q @ k.transpose(2, 3) * block.scaling / block.softcap) * block.softcap
    if mask is None:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores.softmax(dim=-1, dtype=torch.float32).to(q.dtype) @ v


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn (…, t, heads, head_dim) by rotary angles (t, 1, turned); dims beyond ``turned`` stay."""
    turned = cos.shape[-1]
    half = turned // 2
    first, second = x[..., :half], x[..., half:turned]
    out = torch.empty_like(x)
    torch.mul(first, cos[..., :half], out=out[..., :half]).addcmul_(
        second, sin[..., :half], value=-1
    )
    torch.mul(second, cos[..., half:], out=out[..., half:turned]).addcmul_(first, sin[..., half:])
    if turned < x.shape[-1]:
        out[..., turned:] = x[..., turned:]
    return out


def _gate(
    written: torch.Tensor | None,
    kept: torch.Tensor | None,
    fill: torch.Tensor | None,
    stream: torch.Tensor,
    parent: torch.Tensor | None,
) -> torch.Tensor:
    """Add what is written to the stream, or in rows that are not kept its fill."""
    stream = _spread(stream, parent)
    if kept is not None:
        gate = kept[:, None, None, None]
        other = stream.new_zeros(()) if fill is None else fill
        if written is None:
            written = stream.new_zeros(())
        written = torch.where(gate, written, other)
    return stream if written is None else stream + written


def _spread(x: torch.Tensor, parent: torch.Tensor | None) -> torch.Tensor:
    """The parent row of each child; a single row broadcasts."""
    return x if parent is None or len(x) == 1 else x.index_select(0, parent)


def _take(x: torch.Tensor, reads: torch.Tensor | None) -> torch.Tensor:
    """The positions that are read, (rows, p, r, ...)."""
    if reads is None:
        return x
    return x[:, torch.arange(len(reads), device=reads.device)[:, None], reads]


def _at(fill: torch.Tensor | None, reads: torch.Tensor | None, ndim: int) -> torch.Tensor | None:
    """A fill at the positions that are read; one that is the same everywhere stays."""
    return fill if fill is None or fill.ndim < ndim else _take(fill[None], reads)[0]


def _some(rows: torch.Tensor | None) -> torch.Tensor:
    return torch.empty(0) if rows is None else rows
