"""Where the tokens of a batch stand: prompt after prompt in one row, with hardly any padding.

What a causal model computes at a token depends on the tokens before it alone. Where prompts begin alike,
these tokens are therefore computed once, and each prompt has places that point to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

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
    """p prompts packed into one row of T places, which t tokens are computed for.

    Attributes:
        widths: int64 (p,), places of each prompt, padding on the right included.
        reads: int64 (p, r), positions in each prompt that are read; None for all.
        computed: int64 (T,), the token that stands at each place, from 0 to t - 1; None where each place
            has its own.
    """

    widths: Int64[np.ndarray, " p"]
    reads: Int64[np.ndarray, "p r"] | None = None
    computed: Int64[np.ndarray, " T"] | None = None

    def __len__(self) -> int:
        return len(self.widths)

    def __getitem__(self, prompts: slice) -> Layout:
        reads = None if self.reads is None else self.reads[prompts]
        computed = None
        if self.computed is not None:
            computed = np.unique(self.computed[self._places(prompts)], return_inverse=True)[1]
        return Layout(self.widths[prompts], reads, computed)

    @cached_property
    def starts(self) -> Int64[np.ndarray, " p+1"]:
        """First place of each prompt, and T at the end."""
        return np.concatenate([[0], np.cumsum(self.widths)])

    def tokens_of(self, prompts: Int64[np.ndarray, " k"]) -> Int64[np.ndarray, " t"]:
        """The tokens of some prompts, prompt after prompt."""
        widths = self.widths[prompts]
        ends = np.cumsum(widths)
        places = np.repeat(self.starts[prompts] - ends + widths, widths) + np.arange(widths.sum())
        return places if self.computed is None else self.computed[places]

    def tokens_within(self, prompts: slice) -> Int64[np.ndarray, " t"]:
        """The tokens of neighbouring prompts, each once, in the order of the layout of these alone."""
        places = self._places(prompts)
        if self.computed is None:
            return np.arange(places.start, places.stop)
        return np.unique(self.computed[places])

    def _places(self, prompts: slice) -> slice:
        start, stop, _ = prompts.indices(len(self))
        return slice(int(self.starts[start]), int(self.starts[stop]))

    @property
    def places(self) -> int:
        """Number of places, T."""
        return int(self.starts[-1])

    @cached_property
    def firsts(self) -> Int64[np.ndarray, " t"]:
        """A place of each token."""
        if self.computed is None:
            return np.arange(self.places)
        return np.unique(self.computed, return_index=True)[1]

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
        return (np.arange(self.places) - np.repeat(self.starts[:-1], self.widths))[self.firsts]

    @property
    def read_tokens(self) -> Int64[np.ndarray, " pr"] | None:
        """The tokens that are read, prompt after prompt; None for all."""
        if self.reads is None:
            return None
        places = (self.starts[:-1, None] + self.reads).reshape(-1)
        return places if self.computed is None else self.computed[places]

    def room(self, start: int, places: int) -> int:
        """The prompt to stop before, so that the prompts from ``start`` have at most ``places`` places.

        At least one prompt is taken, whatever its length.
        """
        stop = np.searchsorted(self.starts, self.starts[start] + places, side="right") - 1
        return int(max(stop, start + 1))


class Rotation(NamedTuple):
    """How heads at some tokens are rotated: x · cos + swapped(x) · sin, where swapping is within pairs.

    Attributes:
        cos, sin: cosines and signed sines, (t, 1, rotated dims).
        interleaved: see `models.decoder.Rotary`.
    """

    cos: torch.Tensor
    sin: torch.Tensor
    interleaved: bool

    def at(self, tokens: torch.Tensor) -> Rotation:
        """The rotation of some tokens."""
        return Rotation(self.cos[tokens], self.sin[tokens], self.interleaved)


@dataclass(frozen=True)
class Frame:
    """A layout on a device, after a prefix of ``offset`` tokens.

    Attributes:
        segments: see `Layout`.
        offset: tokens of the prefix.
        positions: int64 (t,), with the prefix counted.
        rotations: rotary angles of the tokens, one for each rotary embedding of the model.
        read: int64 (p·r,), the tokens that are read; None for all.
        read_rotations: their angles.
        masks: for each attention window of the model and each segment, which keys each query may see,
            (width, offset + width); None where the plain causal mask is meant.
        read_masks: the same for the tokens that are read, (prompts, 1, r, offset + width).
        computed: int64 (T,), see `Layout`; None where each place has its own token.
        firsts: int64 (t,), a place of each token; None likewise.
    """

    segments: tuple[Segment, ...]
    offset: int
    positions: torch.Tensor
    rotations: tuple[Rotation, ...]
    read: torch.Tensor | None
    read_rotations: tuple[Rotation, ...]
    masks: dict[int | None, tuple[torch.Tensor | None, ...]]
    read_masks: dict[int | None, tuple[torch.Tensor, ...]]
    computed: torch.Tensor | None
    firsts: torch.Tensor | None


class Framer:
    """Puts layouts on a device.

    Args:
        rotations: angles of all positions, one for each rotary embedding.
        windows: the attention windows of the layers, see `models.decoder.Block`.
        longest: tokens of the longest prompt, its prefix included.
        device: where the indices go.
    """

    def __init__(
        self,
        rotations: tuple[Rotation, ...],
        windows: frozenset[int | None],
        longest: int,
        device: torch.device,
    ) -> None:
        self._rotations, self._windows = rotations, windows
        self._longest, self._device = longest, device
        self._kept: dict[tuple[int, int | None], torch.Tensor] = {}

    def frame(self, layout: Layout, offset: int) -> Frame:
        """Put a layout on the device, behind a prefix of ``offset`` tokens.

        Padding stands on the right, where causality keeps it from every token that is read.
        """
        positions = torch.from_numpy(layout.positions).to(self._device) + offset
        read, read_rotations, read_masks = None, (), {}
        if layout.reads is not None:
            read = torch.from_numpy(layout.read_tokens).to(self._device)
            read_rotations = tuple(r.at(positions[read]) for r in self._rotations)
            reads = torch.from_numpy(layout.reads).to(self._device) + offset
            read_masks = {w: self._read_masks(layout, offset, reads, w) for w in self._windows}
        return Frame(
            layout.segments,
            offset,
            positions,
            tuple(r.at(positions) for r in self._rotations),
            read,
            read_rotations,
            {w: self._masks(layout, offset, w) for w in self._windows},
            read_masks,
            *(
                None if layout.computed is None else torch.from_numpy(x).to(self._device)
                for x in (layout.computed, layout.firsts)
            ),
        )

    def _masks(
        self, layout: Layout, offset: int, window: int | None
    ) -> tuple[torch.Tensor | None, ...]:
        return tuple(self._mask(offset, segment.width, window) for segment in layout.segments)

    def _mask(self, offset: int, width: int, window: int | None) -> torch.Tensor | None:
        if window is not None and window >= offset + width:
            window = None
        if not offset and window is None:
            return None
        mask = self._kept.get((offset, window))
        if mask is None:  # of all widths
            queries = torch.arange(offset, self._longest, device=self._device)[:, None]
            mask = self._kept[offset, window] = self._seen(queries, self._longest, window)
        return mask[:width, : offset + width]

    def _read_masks(
        self, layout: Layout, offset: int, reads: torch.Tensor, window: int | None
    ) -> tuple[torch.Tensor, ...]:
        masks, first = [], 0
        for segment in layout.segments:
            queries = reads[first : first + segment.prompts, None, :, None]
            masks.append(self._seen(queries, offset + segment.width, window))
            first += segment.prompts
        return tuple(masks)

    def _seen(self, queries: torch.Tensor, keys: int, window: int | None) -> torch.Tensor:
        """Which of the first ``keys`` positions the queries at some positions (..., 1) see, (..., keys)."""
        places = torch.arange(keys, device=self._device)
        seen = places <= queries
        return seen if window is None else seen & (places > queries - window)


def take(x: torch.Tensor, tokens: torch.Tensor | None) -> torch.Tensor:
    """Some tokens of a stream, (rows, tokens, ...); None for all."""
    return x if tokens is None else x.index_select(1, tokens)
