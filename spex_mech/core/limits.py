"""Limits on what kept players may take: counts, KV groups, parameters, anything that adds up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.core.errors import InputError
from spex_mech.core.masks import check_masks
from spex_mech.core.players import HasShape, PlayerSet, units
from spex_mech.core.short_repr import short_repr

_ROUNDING = 1e-9


@short_repr
@dataclass(frozen=True, eq=False)
class Limit:
    """At most ``most`` of something: sum_i weights_i x_i + sum_g weight_g max_{i in g} x_i <= most.

    x_i = 1 for a kept player. A group is something that players share and that goes only when the last
    of them goes, such as the key/value head of several query heads.

    Attributes:
        weights: float64 (n,), what each kept player takes for itself.
        most: the bound.
        name: what it is, for messages.
        groups: pairs of the positions of a group's players and what the group takes while any of them is
            kept, 0 or more.
    """

    weights: Float64[np.ndarray, " n"]
    most: float
    name: str = "limit"
    groups: Sequence[tuple[Sequence[int], float]] = ()

    def used(self, masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, " m"]:
        """What each kept set takes, float64 (m,); masks bool (m, n), True = kept."""
        weights = np.asarray(self.weights, dtype=np.float64)
        masks = check_masks(masks, len(weights))
        total = masks @ weights
        for members, weight in self.groups:
            total += weight * masks[:, list(members)].any(axis=1)
        return total

    def allows(self, masks: Bool[np.ndarray, "m n"]) -> Bool[np.ndarray, " m"]:
        """Which kept sets are within the limit, bool (m,)."""
        return self.used(masks) <= self.most + _ROUNDING * max(1.0, abs(self.most))


def per_layer(players: PlayerSet, most: int) -> list[Limit]:
    """At most ``most`` kept players in each layer.

    Raises:
        InputError: players that have no layers.
    """
    layers = [player.layer for player in players]
    if None in layers:
        raise InputError("per_layer needs players of a model's layers, such as heads or KV groups")
    owner = np.array(layers)
    return [
        Limit((owner == layer).astype(np.float64), most, f"players of layer {layer}")
        for layer in np.unique(owner).tolist()
    ]


def kv_groups(players: PlayerSet, model: HasShape, most: int) -> Limit:
    """At most ``most`` key/value groups alive; one lives while any player with a query head of it is kept.

    Groups with a query head that is no player's always live, and are not counted.

    Args:
        players: heads, KV groups or layers of the model, in any mixture.
        model: the model; only its ``shape`` is read.
        most: number of groups, in all layers together.

    Raises:
        InputError: players without query heads, or of another model.
    """
    return _groups_limit(_owned_groups(players, model), players.n, most, "KV groups")


def check_limits(limits: Sequence[Limit], n: int) -> None:
    """Refuse limits that are not of ``n`` players.

    Raises:
        InputError: weights of another shape or not finite; groups of players that there are not, without
            players, or of negative weight.
    """
    for limit in limits:
        weights = np.asarray(limit.weights, dtype=np.float64)
        if weights.shape != (n,) or not np.isfinite(weights).all():
            raise InputError(
                f"{limit.name} has weights of shape {weights.shape}, expected a finite number for "
                f"each of {n} players"
            )
        if np.isnan(limit.most):
            raise InputError(f"{limit.name} has the bound {limit.most}, expected a number")
        for members, weight in limit.groups:
            if not len(members) or not all(0 <= i < n for i in members):
                raise InputError(
                    f"{limit.name} has a group of players {list(members)}; expected one or more from 0 "
                    f"to {n - 1}"
                )
            if not 0 <= weight < np.inf:
                raise InputError(
                    f"{limit.name} has a group that takes {weight}, expected a number from 0 (what a "
                    "group gives back cannot be limited)"
                )


def _owned_groups(players: PlayerSet, model: HasShape) -> dict[tuple[int, int], list[int]]:
    """(layer, KV group) to the players that keep it alive, for groups that are players' entirely."""
    shape = model.shape
    size = shape.n_heads // shape.n_kv_heads
    owner = {
        unit: i for i, player in enumerate(players) for unit in units(player, shape) if unit[1] >= 0
    }
    outside = [players.names[i] for (layer, head), i in owner.items()
               if layer >= shape.n_layers or head >= shape.n_heads]  # fmt: skip
    if outside:
        raise InputError(f"player {outside[0]!r} is outside this model; select its own players")
    owned = {}
    for layer in range(shape.n_layers):
        for group in range(shape.n_kv_heads):
            heads = [(layer, h) for h in range(group * size, (group + 1) * size)]
            if all(head in owner for head in heads):
                owned[layer, group] = sorted({owner[head] for head in heads})
    if not owned:
        raise InputError(
            "no KV group belongs to the players alone; select heads, kv or layers, whole groups of them"
        )
    return owned


def _groups_limit(owned: dict[tuple[int, int], list[int]], n: int, most: int, name: str) -> Limit:
    """Groups of one player are that player's own; the others are shared."""
    weights, shared = np.zeros(n), []
    for members in owned.values():
        if len(members) == 1:
            weights[members[0]] += 1.0
        else:
            shared.append((tuple(members), 1.0))
    return Limit(weights, most, name, tuple(shared))
