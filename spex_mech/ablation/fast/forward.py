"""A forward pass that knows its masks and computes only what some score depends on.

Residual streams are (rows, tokens, hidden). A row belongs to all masks that agree up to this layer
(`plan`), and holds the tokens of all prompts one after the other (`layout`); or its prompts belong to
different masks (`pairs`). The results are those of the reference: heads are removed at the input of the
output projection (``hook_z``), attention and MLP outputs where they are added to the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from spex_mech.ablation.fast.attention import KeyValue, attend, keys_and_values
from spex_mech.ablation.fast.layout import Frame, Framer, Layout, Rotation, take
from spex_mech.ablation.fast.plan import Step
from spex_mech.models.decoder import Block, Decoder, Rotary

Fills = Mapping[str, torch.Tensor]
"""What removed entries become, by site: one fill for all tokens, or (tokens, ...); a missing site is zero."""

Watch = Callable[[str, torch.Tensor], None]


def sites(layer: int) -> tuple[str, str, str]:
    """TransformerLens' names of a layer's heads, attention output and MLP output."""
    block = f"blocks.{layer}"
    return f"{block}.attn.hook_z", f"{block}.hook_attn_out", f"{block}.hook_mlp_out"


@dataclass(frozen=True)
class Entry:
    """What the first ablated layer needs and no mask changes, at the tokens whose stream it computes.

    Attributes:
        stream: (1, t, hidden) before the layer; or after its attention if that is never ablated.
        heads: (1, t, heads, head_dim), its per-head outputs; None if they are never ablated.
        mlp: (1, t, hidden), its MLP's output where that does not depend on the mask.
    """

    stream: torch.Tensor
    heads: torch.Tensor | None
    mlp: torch.Tensor | None

    def __getitem__(self, tokens: slice | torch.Tensor) -> Entry:
        parts = (self.stream, self.heads, self.mlp)
        return Entry(*(None if x is None else x[:, tokens] for x in parts))  # pyright: ignore


class Forward:
    """Forward passes of one model over prompts of at most ``longest`` tokens."""

    def __init__(self, decoder: Decoder, full: Step, longest: int) -> None:
        self.decoder, self._full = decoder, full
        self._last = len(decoder.blocks) - 1
        head = decoder.head
        positions = torch.arange(longest, device=head.device)[None]
        self._framer = Framer(
            tuple(_rotation(rotary, head[:1], positions) for rotary in decoder.rotaries),
            frozenset(block.window for block in decoder.blocks),
            longest,
            head.device,
        )

    def frame(self, layout: Layout, offset: int = 0) -> Frame:
        """A layout of prompts behind a prefix of ``offset`` tokens, for `enter` and `run`."""
        return self._framer.frame(layout, offset)

    def enter(
        self,
        ids: torch.Tensor,
        frame: Frame,
        first: int,
        *,
        gated: bool,
        past: Sequence[KeyValue | None] = (),
        keep: list[KeyValue | None] | None = None,
        watch: Watch | None = None,
    ) -> Entry:
        """Run the layers before the first ablated one, and the part of that one that no mask changes.

        Args:
            ids: int64 (t,) token ids.
            frame: where the tokens stand.
            first: the first ablated layer; if it is the number of layers, all of them run.
            gated: whether its heads or attention output can be removed.
            past: keys and values of a prefix that stands before every prompt, layer by layer.
            keep: collects the keys and values of these prompts.
            watch: called with each site's name and activation (t, ...).
        """
        stream = self.decoder.embed(ids[None], frame.positions[None])
        before = [*past, *[None] * (self._last + 1 - len(past))]
        for layer in range(min(first, self._last + 1)):
            stream, key_value = self._layer(
                layer, self._full, Entry(stream, None, None), {}, frame, before[layer], watch
            )
            if keep is not None:
                keep.append(key_value)
        if first > self._last:
            return Entry(stream, None, None)
        block = self.decoder.blocks[first]
        reading = first == self._last and frame.read is not None
        normed = block.attention_norm(stream)
        heads, key_value = attend(block, normed, self._full.pick, before[first], frame, reading)
        if keep is not None:
            keep.append(key_value)
        read = take(stream, frame.read if reading else None)
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
        frame: Frame,
        *,
        past: Sequence[KeyValue | None] = (),
        keep: list[KeyValue | None] | None = None,
    ) -> torch.Tensor:
        """Run the layers from the first ablated one.

        Args:
            first: the first ablated layer.
            steps: what the block of masks does in each layer from there on.
            entry: what `enter` gave for the prompts.
            fills: what removed parts become.
            frame: where the tokens stand.
            past: keys and values of a prefix for each of the layers.
            keep: collects the keys and values of these prompts. Nothing is then read, and the pass ends
                with the keys and values of the last layer.

        Returns:
            The stream after the last layer at the tokens that are read, (rows, p·r, hidden).
        """
        for i, step in enumerate(steps):
            layer = first + i
            if keep is not None and layer == self._last:
                key_value = None
                if i > 0 and step.pick.count:
                    block = self.decoder.blocks[layer]
                    normed = block.attention_norm(entry.stream)
                    key_value = keys_and_values(block, normed, step.pick, frame)
                keep.append(key_value)
                break
            stream, key_value = self._layer(
                layer, step, entry, fills, frame, past[i] if past else None, None
            )
            if keep is not None:
                keep.append(key_value)
            entry = Entry(stream, None, None)
        return entry.stream

    def _layer(
        self,
        layer: int,
        step: Step,
        entry: Entry,
        fills: Fills,
        frame: Frame,
        past: KeyValue | None,
        watch: Watch | None,
    ) -> tuple[torch.Tensor, KeyValue | None]:
        block, (at_heads, at_attention, at_mlp) = self.decoder.blocks[layer], sites(layer)
        at = frame.read if layer == self._last else None
        known, key_value = entry.heads is not None or entry.mlp is not None, None
        stream = entry.stream if known else take(entry.stream, at)
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
                heads = heads if chosen is None else heads.index_select(2, chosen)
            elif step.pick.count:
                normed = block.attention_norm(entry.stream)
                heads, key_value = attend(block, normed, step.pick, past, frame, at is not None)
            if watch is not None and heads is not None:
                watch(at_heads, heads[0])
            fill = _at(fills.get(at_heads), at, 3)
            out = self._write(block, step, heads, fill)
            if watch is not None and out is not None:
                watch(at_attention, out[0])
            written = _gate(
                out, step.attention, _at(fills.get(at_attention), at, 2), stream, step.parent
            )

        if mlp is None and not block.parallel and step.mlp_rows is None:
            mlp = self._mlp(block, written)
        elif mlp is None and not block.parallel and len(_some(step.mlp_rows)):
            mlp = self._mlp(block, written[step.mlp_rows])
        if watch is not None and mlp is not None:
            watch(at_mlp, mlp[0])
        if mlp is not None and step.mlp_place is not None:
            mlp = _spread(mlp, step.mlp_place)
        fill = _at(fills.get(at_mlp), at, 2)
        return _gate(mlp, step.mlp, fill, written, step.mlp_parent), key_value

    def _mlp(self, block: Block, stream: torch.Tensor) -> torch.Tensor:
        out = block.mlp(block.mlp_norm(stream))
        return out if block.after_mlp is None else block.after_mlp(out)

    def _write(
        self, block: Block, step: Step, heads: torch.Tensor | None, fill: torch.Tensor | None
    ) -> torch.Tensor | None:
        """The attention output (rows, t, hidden) of per-head outputs; None for nothing."""
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
            out = out[(None,) * (3 - out.ndim)]
        else:
            alike = step.keep is None and step.factor is None
            heads = heads if alike else self._scale(step, _spread(heads, step.parent), fill)
            weight = block.out if chosen is None else block.out.index_select(1, chosen)
            out = F.linear(heads.flatten(-2), weight.flatten(1), block.out_bias)
            out = _spread(out, step.parent) if alike else out
            out = out if constant is None else out.add_(constant)
        return out if block.after_attention is None else block.after_attention(out)

    def _scale(self, step: Step, heads: torch.Tensor, fill: torch.Tensor | None) -> torch.Tensor:
        """Scale kept heads and fill removed ones, (rows, t, chosen heads, head_dim)."""
        if step.factor is not None:
            heads = heads * step.factor[..., None].to(heads)
        if step.keep is None:
            return heads
        other = heads.new_zeros(())
        if fill is not None:
            chosen = step.pick.heads
            other = fill if chosen is None else fill.index_select(-2, chosen)
        return torch.where(step.keep[..., None], heads, other)


def _rotation(rotary: Rotary, like: torch.Tensor, positions: torch.Tensor) -> Rotation:
    """The angles of all positions, for every dimension that is rotated."""
    cos, sin = (x[0, :, None] for x in rotary.angles(like, positions))
    if rotary.interleaved:
        cos, sin = (torch.stack(x, dim=-1).flatten(-2) for x in ((cos, cos), (-sin, sin)))
    else:
        cos, sin = torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)
    return Rotation(cos, sin, rotary.interleaved)


def _gate(
    written: torch.Tensor | None,
    kept: torch.Tensor | None,
    fill: torch.Tensor | None,
    stream: torch.Tensor,
    parent: torch.Tensor | None,
) -> torch.Tensor:
    """Add what a layer writes to the stream; in rows where it is removed, add its fill instead."""
    stream = _spread(stream, parent)
    if kept is not None:
        gate = kept[..., None]
        other = stream.new_zeros(()) if fill is None else fill
        if written is None:
            written = stream.new_zeros(())
        written = torch.where(gate, written, other)
    return stream if written is None else stream + written


def _spread(x: torch.Tensor, parent: torch.Tensor | None) -> torch.Tensor:
    """Give each child row the entries of its parent row; a single row broadcasts."""
    return x if parent is None or len(x) == 1 else x.index_select(0, parent)


def _at(fill: torch.Tensor | None, tokens: torch.Tensor | None, ndim: int) -> torch.Tensor | None:
    """A fill at the tokens that are read; a fill that is the same for all tokens stays as it is."""
    if fill is None or tokens is None or fill.ndim < ndim:
        return fill
    return fill.index_select(0, tokens)


def _some(rows: torch.Tensor | None) -> torch.Tensor:
    return torch.empty(0) if rows is None else rows
