"""What every layer of a compact model keeps, and whether a stock architecture can hold it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool

from spex_mech.core.layer_rules import LAYER_RULES, LayerRule, LayerSize


@dataclass(frozen=True)
class LayerCut:
    """What is left of one layer, in the numbering of the model it was cut from.

    Attributes:
        layer: the layer's number.
        heads: query heads that stay, in order.
        group_size: query heads that shared one before.
        bias: whether a layer without heads still adds its output bias.
        mlp: whether the MLP stays.
    """

    layer: int
    heads: tuple[int, ...]
    group_size: int
    bias: bool
    mlp: bool

    @property
    def kv_heads(self) -> tuple[int, ...]:
        """Key/value heads that stay: those of which a query head stays."""
        return tuple(dict.fromkeys(h // self.group_size for h in self.heads))

    @property
    def groups(self) -> tuple[int, ...]:
        """How many of the query heads that stay share each of `kv_heads`."""
        owners = [h // self.group_size for h in self.heads]
        return tuple(owners.count(kv) for kv in self.kv_heads)

    @property
    def empty(self) -> bool:
        """Whether nothing is left, so that the residual stream passes through."""
        return not (self.heads or self.bias or self.mlp)

    def entry(self) -> dict[str, Any]:
        """This layer's entry of ``compact_layers`` in the checkpoint's config."""
        return {"groups": list(self.groups), "bias": self.bias, "mlp": self.mlp}


def cuts(
    heads: Bool[np.ndarray, "l h"],
    mlps: Bool[np.ndarray, " l"],
    attention: Bool[np.ndarray, " l"],
    *,
    group_size: int,
    biased: bool,
    numbered: bool = False,
) -> list[LayerCut]:
    """What each layer keeps, without the layers of which nothing is left.

    Args:
        heads: query heads kept, True = kept.
        mlps: MLPs kept.
        attention: False where a whole layer was removed, with its output bias.
        group_size: query heads that share a key/value head.
        biased: whether the output projections have a bias, which stays when all heads of a layer
            are removed one by one.
        numbered: whether a layer computes with its own number, so that empty ones must stay.
    """
    layers = [
        LayerCut(
            layer=layer,
            heads=tuple(int(h) for h in np.flatnonzero(row)),
            group_size=group_size,
            bias=bool(biased and attention[layer]),
            mlp=bool(mlps[layer]),
        )
        for layer, row in enumerate(heads)
    ]
    return [cut for cut in layers if numbered or not cut.empty]


def sizes_of(layers: list[LayerCut]) -> list[LayerSize]:
    """How much is left of each layer."""
    return [LayerSize(cut.layer, cut.groups, cut.mlp) for cut in layers]


def is_even(layers: list[LayerCut]) -> bool:
    """Whether a stock architecture, with one number of heads for all layers, can hold the cuts."""
    return bool(layers) and LAYER_RULES["family"].fault(sizes_of(layers)) is None


def filled(layers: list[LayerCut], rule: LayerRule, n_heads: int) -> list[LayerCut]:
    """The smallest cuts that contain the given ones and keep a rule.

    Every key/value head gets as many query heads as the fullest, and every layer as many key/value heads;
    of its own layer, or of all layers where the rule says so. Removed heads and MLPs fill the gaps. They
    are there as zeros (the caller zeroes what they write), so no answer changes.
    """
    most_kv = max((len(cut.kv_heads) for cut in layers), default=1) or 1
    most_heads = max((count for cut in layers for count in cut.groups), default=1)
    out = []
    for cut in layers:
        least = int(rule.whole)
        n_kv = most_kv if rule.same_groups else max(least, len(cut.kv_heads))
        size = most_heads if rule.same_heads else max(least, *cut.groups, 0)
        out.append(_filled(cut, n_kv, size, n_heads, mlp=rule.whole or cut.mlp))
    return out


def _filled(cut: LayerCut, n_kv: int, size: int, n_heads: int, *, mlp: bool) -> LayerCut:
    unused = [kv for kv in range(n_heads // cut.group_size) if kv not in cut.kv_heads]
    chosen = sorted([*cut.kv_heads, *unused[: n_kv - len(cut.kv_heads)]])
    heads: list[int] = []
    for kv in chosen:
        members = range(kv * cut.group_size, (kv + 1) * cut.group_size)
        alive = [h for h in members if h in cut.heads]
        removed = [h for h in members if h not in cut.heads]
        heads += sorted([*alive, *removed[: size - len(alive)]])
    return replace(cut, heads=tuple(heads), mlp=mlp)
