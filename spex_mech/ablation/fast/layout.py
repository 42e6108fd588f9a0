"""Where the tokens of a batch stand: prompt after prompt in one row, with hardly any padding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Int64


@dataclass(frozen=True)
class Segment:
    """Neighbouring prompts of one width, from token ``start`` on; attention computes them together."""

    start: int
    prompts: int
    width: int

    @property
    def tokens(self) -> slice:
        """The tokens of the segment."""
        return slice(self.start, self.start + self.prompts * self.width)


@dataclass(frozen=True)
class Layout:
    """p prompts packed into one row of T tokens.

    Attributes:
        widths: int64 (p,), tokens of each prompt, padding on the right included.
        reads: int64 (p, r), positions in each prompt that are read; None for all.
    """

    widths: Int64[np.ndarray, " p"]
    reads: Int64[np.ndarray, "p r"] | None = None

    def __len__(self) -> int:
        return len(self.widths)

    def __getitem__(self, prompts: slice) -> Layout:
        reads = None if self.reads is None else self.reads[prompts]
        return Layout(self.widths[prompts], reads)

    @cached_property
    def starts(self) -> Int64[np.ndarray, " p+1"]:
        """First token of each prompt, and T at the end."""
        return np.concatenate([[0], np.cumsum(self.widths)])

    @property
    def tokens(self) -> int:
        """Number of tokens, T."""
        return int(self.starts[-1])

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The segments: neighbouring prompts of one width, taken together."""
        firsts = np.flatnonzero(np.diff(self.widths, prepend=-1))
        counts = np.diff(firsts, append=len(self))
        return tuple(
            Segment(int(self.starts[i]), int(count), int(self.widths[i]))
            for i, count in zip(firsts, counts, strict=True)
        )

    @property
    def positions(self) -> Int64[np.ndarray, " t"]:
        """Position of each token in its prompt."""
        return np.arange(self.tokens) - np.repeat(self.starts[:-1], self.widths)

    @property
    def read_tokens(self) -> Int64[np.ndarray, " pr"] | None:
        """The tokens that are read, prompt after prompt; None for all."""
        return None if self.reads is None else (self.starts[:-1, None] + self.reads).reshape(-1)

    def room(self, start: int, tokens: int) -> int:
        """The prompt to stop before, so that the prompts from ``start`` have at most ``tokens`` tokens.

        At least one prompt is taken, whatever its length.
        """
        stop = np.searchsorted(self.starts, self.starts[start] + tokens, side="right") - 1
        return int(max(stop, start + 1))


Rotation = tuple[torch.Tensor, torch.Tensor]
"""Cosines and signed sines of tokens' positions, (t, 1, rotated dims)."""


@dataclass(frozen=True)
class Frame:
    """A layout on a device, after a prefix of ``offset`` tokens.

    Attributes:
        segments: see `Layout`.
        offset: tokens of the prefix.
        positions: int64 (T,), with the prefix counted.
        rotation: rotary angles of the tokens, or None.
        read: int64 (p·r,), the tokens that are read; None for all.
        read_rotation: their angles.
        masks: for each segment, which keys each query may see, (width, offset + width); None where
            the plain causal mask is meant.
        read_masks: the same for the tokens that are read, (prompts, 1, r, offset + width).
    """

    segments: tuple[Segment, ...]
    offset: int
    positions: torch.Tensor
    rotation: Rotation | None
    read: torch.Tensor | None
    read_rotation: Rotation | None
    masks: tuple[torch.Tensor | None, ...]
    read_masks: tuple[torch.Tensor, ...]


def frame_of(
    layout: Layout,
    offset: int,
    rotation: Rotation | None,
    device: torch.device,
    causal: dict[tuple[int, int], torch.Tensor],
) -> Frame:
    """Put a layout on a device.

    Padding stands on the right, where causality keeps it from every token that is read.

    Args:
        layout: where the tokens stand.
        offset: tokens of the prefix before every prompt.
        rotation: angles of all positions, or None.
        device: where the indices go.
        causal: masks of segments after a prefix, kept for other frames.
    """
    positions = torch.from_numpy(layout.positions).to(device) + offset

    def at(tokens: torch.Tensor) -> Rotation | None:
        return None if rotation is None else (rotation[0][tokens], rotation[1][tokens])

    read = read_rotation = None
    read_masks = []
    if layout.reads is not None:
        read = torch.from_numpy(layout.read_tokens).to(device)
        read_rotation = at(positions[read])
        reads = torch.from_numpy(layout.reads).to(device) + offset
        first = 0
        for segment in layout.segments:
            positions_read = reads[first : first + segment.prompts, None, :, None]
            keys = torch.arange(offset + segment.width, device=device)
            read_masks.append(keys <= positions_read)
            first += segment.prompts
    masks = tuple(
        _mask_behind(offset, segment.width, device, causal) if offset else None
        for segment in layout.segments
    )
    return Frame(
        layout.segments,
        offset,
        positions,
        at(positions),
        read,
        read_rotation,
        masks,
        tuple(read_masks),
    )


def _mask_behind(
    offset: int, width: int, device: torch.device, causal: dict[tuple[int, int], torch.Tensor]
) -> torch.Tensor:
    mask = causal.get((offset, width))
    if mask is None:
        keys = torch.arange(offset + width, device=device)
        queries = torch.arange(offset, offset + width, device=device)[:, None]
        mask = causal[offset, width] = keys <= queries
    return mask


def take(x: torch.Tensor, tokens: torch.Tensor | None) -> torch.Tensor:
    """Some tokens of a stream, (rows, tokens, ...); None for all."""
    return x if tokens is None else x.index_select(1, tokens)
