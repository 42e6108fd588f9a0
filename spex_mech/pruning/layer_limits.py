"""Limits beside a rule for layers: which options of a layer they leave, and prices for what they count.

A limit whose players are all of one layer says which options that layer has. A limit over several layers is
kept by Lagrange multipliers: what it counts has a price, which every option of a layer pays, and the price is
raised until the best set is within the limit, and then lowered as far as it stays so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.core.limits import Limit
from spex_mech.pruning.layer_options import LayerOption, LayerPlayers

_RAISED, _LOWERED = 40, 8  # how often prices are doubled, and halved in search of the lowest
_FORBIDDING = 1e6  # a price, in units of the scores, beside which these do not count

Masked = Bool[np.ndarray, " n"]
_Best = Callable[[Float64[np.ndarray, " k"]], Masked | None]


@dataclass(frozen=True, eq=False)
class LayerLimits:
    """The limits of some sets of a model's players.

    Attributes:
        of_layer: the limits of each layer's players alone.
        shared: the limits over several layers.
        parts: for each shared limit and layer, the groups of its players in that layer, with their weights.
    """

    of_layer: tuple[tuple[Limit, ...], ...]
    shared: tuple[Limit, ...]
    parts: tuple[tuple[tuple[tuple[frozenset[int], float], ...], ...], ...]

    @classmethod
    def of(cls, limits: Sequence[Limit], layers: Sequence[LayerPlayers], n: int) -> LayerLimits:
        """Sort limits by the layers that they are about."""
        players = [frozenset({*layer.heads.ravel().tolist(), layer.mlp} - {-1}) for layer in layers]
        owner = {i: at for at, of_layer in enumerate(players) for i in of_layer}
        own: list[list[Limit]] = [[] for _ in layers]
        shared = []
        for limit in limits:
            about = {owner[i] for i in _counted(limit) if i in owner}
            if len(about) == 1 and np.min(limit.weights, initial=0.0) >= 0:
                own[about.pop()].append(limit)
            else:
                shared.append(limit)
        parts = tuple(
            tuple(_groups_in(limit, of_layer) for of_layer in players) for limit in shared
        )
        return cls(tuple(map(tuple, own)), tuple(shared), parts)

    @property
    def free(self) -> Float64[np.ndarray, " k"]:
        """Prices of nothing."""
        return np.zeros(len(self.shared))

    def best(self, scores: Float64[np.ndarray, " n"], best: _Best) -> Masked | None:
        """The set with the highest sum of scores that prices lead to and that is within all limits.

        Args:
            scores: float64 (n,), what each player adds.
            best: the best set at given prices of what each shared limit counts, (k,); None for no set.
        """
        prices = self.free
        found = best(prices)
        if found is None or not self.shared or self._within(found).all():
            return found
        unit = max(float(np.ptp(scores)), 1e-9)
        for _ in range(_RAISED):
            counted = np.array([max(abs(limit.used(found[None])[0]), 1.0) for limit in self.shared])
            least = unit / counted
            prices = np.where(self._within(found), prices, np.maximum(2 * prices, least))
            found = best(prices)
            if found is None:
                return None
            if self._within(found).all():
                return self._lowered(prices, found, scores, best)
        return None

    def least(self, best: _Best) -> Iterator[tuple[Limit, float]]:
        """The least of what each shared limit counts in any set, as far as its price alone leads."""
        for at, limit in enumerate(self.shared):
            prices = self.free
            prices[at] = _FORBIDDING
            found = best(prices)
            if found is not None:
                yield limit, float(limit.used(found[None])[0])

    def priced(
        self, scores: Float64[np.ndarray, " n"], prices: Float64[np.ndarray, " k"]
    ) -> Float64[np.ndarray, " n"]:
        """Scores less the price of what each player uses for itself."""
        for limit, price in zip(self.shared, prices, strict=True):
            if price:
                scores = scores - price * np.asarray(limit.weights)
        return scores

    def affordable(
        self, at: int, options: list[LayerOption], prices: Float64[np.ndarray, " k"]
    ) -> list[LayerOption]:
        """The options of a layer that its own limits leave, less the price of the groups that they use."""
        for limit in self.of_layer[at]:
            options = [option for option in options if _allows(limit, option)]
        groups = [
            (members, price * weight)
            for parts, price in zip(self.parts, prices, strict=True)
            if price
            for members, weight in parts[at]
        ]
        if not groups:
            return options
        return [
            replace(
                option,
                score=option.score
                - sum(cost for members, cost in groups if not members.isdisjoint(option.players)),
            )
            for option in options
        ]

    def _within(self, mask: Masked) -> Bool[np.ndarray, " k"]:
        return np.array([limit.allows(mask[None])[0] for limit in self.shared], dtype=bool)

    def _lowered(
        self,
        prices: Float64[np.ndarray, " k"],
        found: Masked,
        scores: Float64[np.ndarray, " n"],
        best: _Best,
    ) -> Masked:
        """Lower all prices together as far as the set stays within the limits."""
        low, high = 0.0, 1.0
        for _ in range(_LOWERED):
            middle = (low + high) / 2
            other = best(middle * prices)
            if other is None or not self._within(other).all():
                low = middle
                continue
            high = middle
            if scores @ other > scores @ found:
                found = other
        return found


def _counted(limit: Limit) -> set[int]:
    """The players that a limit counts."""
    alone = np.flatnonzero(np.asarray(limit.weights)).tolist()
    return {*alone, *(i for members, _ in limit.groups for i in members)}


def _groups_in(limit: Limit, players: frozenset[int]) -> tuple[tuple[frozenset[int], float], ...]:
    """The groups of a limit that have players of a layer; one of several layers costs each its share."""
    found = []
    for members, weight in limit.groups:
        inside = players & {*members}
        if inside:
            found.append((inside, weight * len(inside) / len({*members})))
    return tuple(found)


def _allows(limit: Limit, option: LayerOption) -> bool:
    mask = np.zeros((1, len(limit.weights)), dtype=bool)
    mask[0, [*option.players]] = True
    return bool(limit.allows(mask)[0])
