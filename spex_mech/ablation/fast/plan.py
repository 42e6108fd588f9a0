"""Which masks run together, and what they share: a block of masks as a tree of gate decisions.

The residual stream that enters a layer depends only on the gates before it. So masks of a block that
agree up to a layer share one row of the computation. A row splits at the gate where its masks first
differ. Masks that are asked different prompts share a row in another way: each prompt in it has its own mask.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from spex_mech.ablation.gates import Gates
from spex_mech.core.players import ModelShape


@dataclass(frozen=True)
class Pick:
    """The heads that are computed.

    Attributes:
        heads: int64 (a,) query heads, or None for all.
        groups: int64 (g,) key/value heads that they need, or None for all.
        spread: int64 (a,) place in ``groups`` of each head's own group.
        share: heads that share each group if that is the same number for all, in order; else None.
        count: a, which may be 0.
    """

    heads: torch.Tensor | None
    groups: torch.Tensor | None
    spread: torch.Tensor
    share: int | None
    count: int


@dataclass(frozen=True)
class Step:
    """What a block of masks does in one layer: r rows come in, u leave attention, w leave the MLP.

    Where all tokens of a row belong to one mask, t is 1. A row whose tokens belong to different masks
    (`pairs`) has gates for each of its tokens.

    Attributes:
        parent: int64 (u,) which row each comes from, or None for itself.
        pick: heads that some row keeps.
        dead: int64, heads that no row keeps, or None.
        keep: bool (u, t, a), which of the chosen heads each row keeps; None where every row keeps all.
        factor: float64 (u, t, a), what chosen heads are multiplied by; None where that is 1.
        attention: bool (u, t), False = the attention output is removed; None where all are kept.
        mlp_parent: int64 (w,) which of the u rows each comes from, or None for itself.
        mlp: bool (w, t), False = the MLP's output is removed; None where all are kept.
        mlp_rows: int64, rows whose MLP is needed (of the u, or of the r where the MLP stands beside
            attention); None for all.
        mlp_place: int64 (w,), place of each leaving row's MLP among these.
    """

    parent: torch.Tensor | None
    pick: Pick
    dead: torch.Tensor | None
    keep: torch.Tensor | None
    factor: torch.Tensor | None
    attention: torch.Tensor | None
    mlp_parent: torch.Tensor | None
    mlp: torch.Tensor | None
    mlp_rows: torch.Tensor | None
    mlp_place: torch.Tensor | None


@dataclass(frozen=True)
class Tree:
    """The plan of a block of masks.

    Attributes:
        steps: one step for each layer from the first ablated one.
        leaf: int64 (m,), the row of each mask after the last layer.
        widest: largest number of rows after any layer.
    """

    steps: tuple[Step, ...]
    leaf: npt.NDArray[np.int64]
    widest: int


@dataclass(frozen=True)
class Planner:
    """Plans the runs of one game.

    Attributes:
        shape: the model's shape.
        first: the first layer that any player can change.
        rescale: whether kept heads are scaled by H / |kept|.
        parallel: whether MLPs read the stream before attention writes to it.
        device: where the indices go.
    """

    shape: ModelShape
    first: int
    rescale: bool
    parallel: bool
    device: torch.device

    def tree(self, gates: Gates) -> Tree:
        """Plan a block of masks that run on the same prompts, from what each of them keeps."""
        scale = gates.head_scale()
        row = np.zeros(len(gates), dtype=np.int64)
        steps, widest = [], 1
        for layer in range(self.first, self.shape.n_layers):
            attention = gates.attention[:, layer]
            kept = gates.heads[:, layer] & attention[:, None]
            row, parent, at = _split(row, np.concatenate([kept, attention[:, None]], axis=1))
            row, mlp_parent, mlp_at = _split(row, gates.mlps[:, layer, None])
            mlp = gates.mlps[mlp_at, layer]
            source = mlp_parent if not self.parallel else _compose(parent, mlp_parent)
            rows, place = _needed(source, mlp)
            widest = max(widest, len(mlp))
            step = self._step(
                kept[at], attention[at], mlp, scale[at, layer], lambda gate: gate[:, None]
            )
            steps.append(
                replace(
                    step,
                    parent=self._put(parent),
                    mlp_parent=self._put(mlp_parent),
                    mlp_rows=self._put(rows),
                    mlp_place=self._put(place),
                )
            )
        return Tree(tuple(steps), row, widest)

    def row(self, gates: Gates, widths: npt.NDArray[np.int64], reads: int) -> tuple[Step, ...]:
        """Plan one row in which every prompt has a mask of its own.

        Args:
            gates: what each prompt's mask keeps.
            widths: int64 (p,), tokens of each prompt.
            reads: tokens of each prompt that the last layer computes.
        """
        scale = gates.head_scale()
        prompt = np.arange(len(gates))
        tokens, read = (torch.from_numpy(np.repeat(prompt, n)) for n in (widths, reads))
        steps = []
        for layer in range(self.first, self.shape.n_layers):
            owner = (read if layer == self.shape.n_layers - 1 else tokens).to(self.device)
            attention, mlp = gates.attention[:, layer], gates.mlps[:, layer]
            kept = gates.heads[:, layer] & attention[:, None]
            step = self._step(
                kept, attention, mlp, scale[:, layer], lambda gate, owner=owner: gate[owner][None]
            )
            steps.append(step if mlp.any() else replace(step, mlp_rows=self._put(prompt[:0])))
        return tuple(steps)

    def _step(
        self,
        kept: npt.NDArray[np.bool_],
        attention: npt.NDArray[np.bool_],
        mlp: npt.NDArray[np.bool_],
        scale: npt.NDArray[np.float64],
        along: Callable[[torch.Tensor], torch.Tensor],
    ) -> Step:
        """The gates of a layer; rows are their own parents.

        Args:
            kept: bool (x, heads), heads that are kept.
            attention: bool (x,), whether the output of attention is kept.
            mlp: bool (y,), whether the output of the MLP is kept.
            scale: float64 (x,), what kept heads are multiplied by where the game rescales.
            along: gates (x, ...) on the device -> gates of rows and tokens, (u, t, ...).
        """
        heads = np.arange(self.shape.n_heads)
        alive = np.flatnonzero(kept.any(axis=0))
        picked = kept[:, alive]
        factor = np.broadcast_to(scale[:, None], picked.shape).copy()
        rescaled = self.rescale and (factor[picked] != 1).any()

        def put(gate: np.ndarray) -> torch.Tensor:
            return along(torch.from_numpy(gate).to(self.device))

        return Step(
            parent=None,
            pick=pick(alive, self.shape, self.device),
            dead=self._put(np.setdiff1d(heads, alive)) if len(alive) < len(heads) else None,
            keep=None if picked.all() else put(picked),
            factor=put(factor) if rescaled else None,
            attention=None if attention.all() else put(attention),
            mlp_parent=None,
            mlp=None if mlp.all() else put(mlp),
            mlp_rows=None,
            mlp_place=None,
        )

    def _put(self, array: np.ndarray | None) -> torch.Tensor | None:
        return None if array is None else torch.from_numpy(array).to(self.device)


def pick(alive: npt.NDArray[np.int64], shape: ModelShape, device: torch.device) -> Pick:
    """Choose heads (in order) and the key/value heads that they need."""
    group = alive // (shape.n_heads // shape.n_kv_heads)
    groups, spread, counts = np.unique(group, return_inverse=True, return_counts=True)
    even = len(counts) > 0 and (counts == counts[0]).all()
    return Pick(
        heads=None if len(alive) == shape.n_heads else torch.from_numpy(alive).to(device),
        groups=None if len(groups) == shape.n_kv_heads else torch.from_numpy(groups).to(device),
        spread=torch.from_numpy(spread.reshape(-1)).to(device),
        share=int(counts[0]) if even else None,
        count=len(alive),
    )


def whole(shape: ModelShape, device: torch.device) -> Step:
    """The step of an intact layer."""
    every = pick(np.arange(shape.n_heads), shape, device)
    return Step(None, every, None, None, None, None, None, None, None, None)


def in_order(gates: Gates, first: int) -> npt.NDArray[np.int64]:
    """An order of masks in which those that agree in more layers stand closer together."""
    parts = [gates.heads[:, first:], gates.attention[:, first:, None], gates.mlps[:, first:, None]]
    bits = np.concatenate(parts, axis=2).reshape(len(gates), -1)
    return np.lexsort(np.packbits(bits, axis=1).T[::-1])


def _split(
    row: npt.NDArray[np.int64], gate: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64] | None, npt.NDArray[np.int64]]:
    """Split rows where their masks differ in a gate.

    Returns:
        The new row of each mask, the parent of each new row (None where each is its own), and one mask
        of each new row.
    """
    if len(row) == 1:
        return row, None, np.zeros(1, dtype=np.int64)
    keys = np.concatenate([row[:, None], np.packbits(gate, axis=1)], axis=1)
    _, at, new = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    parent = row[at]
    # Keys sort by their old row first: as many rows as before are the same rows.
    same = len(at) == row.max() + 1
    return new.reshape(-1), None if same else parent, at


def _compose(
    parent: npt.NDArray[np.int64] | None, child: npt.NDArray[np.int64] | None
) -> npt.NDArray[np.int64] | None:
    if parent is None or child is None:
        return child if parent is None else parent
    return parent[child]


def _needed(
    source: npt.NDArray[np.int64] | None, kept: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64] | None, npt.NDArray[np.int64] | None]:
    """Parent rows of the children that are kept (None for all), and each child's place among them."""
    if source is None and kept.all():
        return None, None
    source = np.arange(len(kept)) if source is None else source
    rows = np.unique(source[kept])
    place = np.searchsorted(rows, source)
    return rows, np.where(kept, place, 0)
