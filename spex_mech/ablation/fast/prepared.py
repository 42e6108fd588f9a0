"""What no mask changes, and is therefore computed once.

These are the inputs of the first ablated layer, the fills, and the shared prefix of the prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from spex_mech.ablation.fast.attention import KeyValue
from spex_mech.ablation.fast.batches import PromptBatch
from spex_mech.ablation.fast.fills import at_sites, forward_recorder
from spex_mech.ablation.fast.forward import Entry, Forward, sites
from spex_mech.ablation.fast.layout import Frame, Layout
from spex_mech.ablation.fast.plan import Tree
from spex_mech.ablation.fills import Ablation, Filler
from spex_mech.ablation.gates import spread
from spex_mech.core.players import ModelShape, PlayerSet
from spex_mech.tasks.prompts import Prompts


@dataclass(frozen=True)
class Removable:
    """Where a set of players can be removed.

    Attributes:
        first: the first layer with a player.
        gated: whether heads or the attention output can be removed there.
        sites: names of the places where something can be removed, from that layer on.
    """

    first: int
    gated: bool
    sites: tuple[str, ...]


def removable(players: PlayerSet, shape: ModelShape) -> Removable:
    """Where these players can be removed."""
    gates = spread(players, shape, np.zeros((1, players.n), dtype=bool))
    removed = ~np.stack([gates.heads[0].all(axis=1), gates.attention[0], gates.mlps[0]])
    first = int(np.flatnonzero(removed.any(axis=0))[0])
    return Removable(
        first,
        bool(removed[:2, first].any()),
        tuple(
            site
            for layer in range(first, shape.n_layers)
            for site, is_removed in zip(sites(layer), removed[:, layer], strict=True)
            if is_removed
        ),
    )


@dataclass(frozen=True)
class PreparedBatch:
    """A batch, with what no mask changes of it."""

    batch: PromptBatch
    frame: Frame
    entry: Entry
    fills: dict[str, torch.Tensor]


class Preparation:
    """Prepares the batches of one game. The filler and the shared prefix are computed when first used.

    Args:
        forward: the model's forward pass.
        prompts: the task's rows.
        ablation: what removed parts become.
        removable: where parts are removed.
        prefix: number of tokens with which all prompts begin and which no batch holds; 0 for none.
    """

    def __init__(
        self,
        forward: Forward,
        prompts: Prompts,
        ablation: Ablation,
        removable: Removable,
        prefix: int,
    ) -> None:
        self._forward, self._prompts, self._ablation = forward, prompts, ablation
        self._removable, self._first, self._prefix = removable, removable.first, prefix
        self._ends_at_once = self._first == len(forward.decoder.blocks) - 1
        self._filler: Filler | None = None
        self._beginning: tuple[list[KeyValue | None], Entry] | None = None

    def enter(self, batch: PromptBatch) -> PreparedBatch:
        """Run a batch up to the first ablated layer."""
        past = self._begin()[0] if self._prefix else []
        frame = self._forward.frame(batch.layout, self._prefix)
        gated = self._removable.gated
        entry = self._forward.enter(batch.ids, frame, self._first, gated=gated, past=past)
        if self._filler is None:
            record = forward_recorder(self._forward)
            self._filler = self._ablation.filler(record, self._prompts, self._removable.sites)
        rows = [int(r) for r in batch.prompt]
        like = self._forward.decoder.head
        fills = at_sites(self._filler, self._removable.sites, rows, batch.layout, like)
        return PreparedBatch(batch, frame, entry, fills)

    def piece(self, prepared: PreparedBatch, start: int, stop: int) -> PreparedBatch:
        """Some prompts of a batch."""
        if stop - start == len(prepared.batch):
            return prepared
        batch = prepared.batch[start:stop]
        tokens = torch.from_numpy(prepared.batch.layout.tokens_within(slice(start, stop)))
        tokens = tokens.to(prepared.batch.ids.device)
        written = tokens
        if self._ends_at_once:  # the entry holds the tokens that are read
            reads = prepared.batch.layout.reads
            per_prompt = 0 if reads is None else reads.shape[1]
            written = slice(start * per_prompt, stop * per_prompt)
        fills = prepared.fills
        if self._ablation.of_example:  # whose fills are of single tokens
            fills = {site: x[tokens] for site, x in fills.items()}
        frame = self._forward.frame(batch.layout, self._prefix)
        return PreparedBatch(batch, frame, prepared.entry[written], fills)

    def gather(
        self, chosen: Sequence[tuple[PreparedBatch, npt.NDArray[np.int64]]]
    ) -> PreparedBatch:
        """Prompts (k,) of each of some batches, one after the other; the same prompt may come again."""
        layouts = [ready.batch.layout for ready, _ in chosen]
        read = [np.asarray(layout.reads) for layout in layouts]
        last = np.arange(max(positions.shape[1] for positions in read))
        columns = [np.minimum(last, positions.shape[1] - 1) for positions in read]
        prompts = [prompts for _, prompts in chosen]
        tokens = [x.tokens_of(p) for x, p in zip(layouts, prompts, strict=True)]
        written = tokens
        if self._ends_at_once:  # the entry holds the tokens that are read
            written = [
                (p[:, None] * positions.shape[1] + at).reshape(-1)
                for p, positions, at in zip(prompts, read, columns, strict=True)
            ]
        fills = chosen[0][0].fills
        if self._ablation.of_example:  # whose fills are of single tokens
            fills = {
                site: _picked([ready.fills[site] for ready, _ in chosen], tokens, 0)
                for site in fills
            }
        layout = Layout(
            np.concatenate([x.widths[p] for x, p in zip(layouts, prompts, strict=True)]),
            np.concatenate([x[p][:, at] for x, p, at in zip(read, prompts, columns, strict=True)]),
        )
        rows = np.concatenate([ready.batch.prompt[p] for ready, p in chosen])
        ids = _picked([ready.batch.ids for ready, _ in chosen], tokens, 0)
        batch = PromptBatch(ids, layout, rows, np.arange(len(rows)), rows)
        entries = [ready.entry for ready, _ in chosen]
        parts = zip(*[(e.stream, e.heads, e.mlp) for e in entries], strict=True)
        entry = Entry(*(None if x[0] is None else _picked(x, written, 1) for x in parts))  # pyright: ignore
        return PreparedBatch(batch, self._forward.frame(layout, self._prefix), entry, fills)

    def prefix_keys(self, tree: Tree) -> list[KeyValue | None]:
        """Keys and values of the shared prefix under each mask of a block, layer by layer."""
        _, entry = self._begin()
        if self._ends_at_once:
            return [None]
        key_values: list[KeyValue | None] = []
        fills = {}
        if self._filler is not None:
            layout, like = Layout(np.array([self._prefix])), self._forward.decoder.head
            fills = at_sites(self._filler, self._removable.sites, [0], layout, like)
        self._forward.run(
            self._first, tree.steps, entry, fills, self._prefix_frame(), keep=key_values
        )
        return key_values

    def _begin(self) -> tuple[list[KeyValue | None], Entry]:
        """Keys, values and entry of the shared prefix."""
        if self._beginning is None:
            tokens = self._prompts.tokens[0][: self._prefix]
            ids = torch.tensor(tokens, device=self._forward.decoder.head.device)
            key_values: list[KeyValue | None] = []
            entry = self._forward.enter(
                ids,
                self._prefix_frame(),
                self._first,
                gated=self._removable.gated,
                keep=key_values,
            )
            self._beginning = key_values, entry
        return self._beginning

    def _prefix_frame(self) -> Frame:
        return self._forward.frame(Layout(np.array([self._prefix])))


def _picked(
    parts: Sequence[torch.Tensor], tokens: Sequence[npt.NDArray[np.int64]], dim: int
) -> torch.Tensor:
    """Some tokens of each tensor along a dimension, one after the other."""
    taken = [
        x.index_select(dim, torch.from_numpy(at).to(x.device))
        for x, at in zip(parts, tokens, strict=True)
    ]
    return taken[0] if len(taken) == 1 else torch.cat(taken, dim=dim)
