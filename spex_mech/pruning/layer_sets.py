"""Sets of players that leave every layer in a shape which a stock architecture can hold.

Such a rule is no upper bound: a layer with one head on each key/value head may be allowed, and the same layer
with one head more may not. A search therefore never leaves the allowed sets: `LayerSets.projected` is the
allowed set with the highest sum of the players' scores, and `LayerSets.neighbours` are those near one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.core.errors import InputError
from spex_mech.core.layer_rules import LayerRule
from spex_mech.core.limits import Limit, check_limits
from spex_mech.core.players import ModelShape, PlayerSet, units
from spex_mech.pruning.layer_limits import LayerLimits
from spex_mech.pruning.layer_options import LayerOption, LayerPlayers, layer_moves, layer_options
from spex_mech.pruning.layer_search import LayerMove, best_sum, moves_together, pairs_of_moves


@runtime_checkable
class SetRule(Protocol):
    """A rule that needs a game's players and model to say which sets it allows."""

    def of(self, players: PlayerSet, model: Any) -> LayerSets:
        """The sets of these players that it allows."""
        ...


@dataclass(frozen=True, eq=False)
class LayerSets:
    """The allowed sets of a model's players.

    Attributes:
        n: number of players.
        layers: the players of every layer.
        rule: what the layers must have in common.
        name: what the rule is, for messages.
        shapes: numbers of key/value groups and of query heads on each that a layer may have; None for any.
        limits: upper bounds on what the kept players use, besides the rule.
    """

    n: int
    layers: tuple[LayerPlayers, ...]
    rule: LayerRule
    name: str
    shapes: frozenset[tuple[int, int]] | None = None
    limits: tuple[Limit, ...] = ()

    @classmethod
    def of_players(
        cls,
        players: PlayerSet,
        shape: ModelShape,
        rule: LayerRule,
        name: str,
        shapes: frozenset[tuple[int, int]] | None = None,
    ) -> LayerSets:
        """The sets of some players of a model that a rule allows.

        Raises:
            InputError: players that are not of a model.
        """
        owner = {unit: i for i, player in enumerate(players) for unit in units(player, shape)}
        layers = []
        for layer in range(shape.n_layers):
            heads = [owner.get((layer, h), -1) for h in range(shape.n_heads)]
            by_group = np.array(heads, dtype=np.int64).reshape(shape.n_kv_heads, -1)
            layers.append(LayerPlayers(by_group, owner.get((layer, -1), -1)))
        return cls(players.n, tuple(layers), rule, name, shapes)

    def within(self, limits: Sequence[Limit]) -> LayerSets:
        """Those of the sets that are within limits as well.

        Raises:
            InputError: limits of other players.
        """
        check_limits(limits, self.n)
        return replace(self, limits=(*self.limits, *limits))

    def allows(self, masks: Bool[np.ndarray, "m n"]) -> Bool[np.ndarray, " m"]:
        """Whether each set keeps the rule and the limits, bool (m,)."""
        inside = np.ones(len(masks), dtype=bool)
        first = np.zeros((len(masks), 2), dtype=np.int64)
        for layer in self.layers:
            groups, heads, even, mlp = layer.shape_of(masks)
            gone = (groups == 0) & ~mlp
            inside &= even
            if self.rule.whole:
                inside &= gone | ((groups > 0) & mlp)
            if self.shapes is not None:
                pairs = zip(groups.tolist(), heads.tolist(), strict=True)
                inside &= (groups == 0) | np.array([pair in self.shapes for pair in pairs], bool)
            shape = np.stack([groups, heads], axis=1)
            first = np.where(first[:, :1] == 0, shape, first)
            compared = [self.rule.same_groups, self.rule.same_heads]
            differs = ((shape != first) & (groups > 0)[:, None])[:, compared].any(axis=1)
            inside &= ~differs
        for limit in self.limits:
            inside &= limit.allows(masks)
        return inside

    def projected(
        self, scores: Float64[np.ndarray, " n"], keep: int | None
    ) -> Bool[np.ndarray, " n"] | None:
        """The allowed set with the highest sum of scores, found exactly by dynamic programming over layers.

        Limits on single layers are kept exactly, too. Under a limit on several layers, such as one on
        parameters, it is the best set that prices of what the limit counts lead to (`LayerLimits`).

        Args:
            scores: float64 (n,), what each kept player adds.
            keep: number of players; None for any.

        Returns:
            bool (n,), or None where no set of the size is allowed.
        """
        return self._limits.best(scores, lambda prices: self._best(scores, keep, prices))

    def _best(
        self, scores: Float64[np.ndarray, " n"], keep: int | None, prices: Float64[np.ndarray, " k"]
    ) -> Bool[np.ndarray, " n"] | None:
        """The best set that keeps the rule, of scores less the price of what the limits count."""
        best, chosen = -np.inf, None
        for options in self._alike(scores, prices):
            found = best_sum(options, self.n, keep)
            if found is not None and found[0] > best:
                best, chosen = found
        if chosen is None:
            return None
        mask = np.zeros(self.n, dtype=bool)
        mask[[i for option in chosen for i in option.players]] = True
        return mask

    def neighbours(
        self,
        mask: Bool[np.ndarray, " n"],
        gains: Float64[np.ndarray, " n"],
        *,
        resize: bool,
        most: int,
    ) -> Bool[np.ndarray, "s n"]:
        """Allowed sets near one.

        They differ in one layer, in the sizes of two, or in the best exchanges of 2, 4, 8 ... layers at once;
        and the set of those players that are worth most.

        Args:
            mask: bool (n,), an allowed set.
            gains: float64 (n,), what changing each player alone adds. Where there are more moves than
                ``most``, those with the highest sums are taken.
            resize: also sets of other sizes.
            most: the most moves in one layer or two.
        """
        worth = np.where(mask, -gains, gains)
        moves: list[LayerMove] = []
        fits = self._fits(mask)
        for at, layer in enumerate(self.layers):
            for flips in layer_moves(layer, mask, worth, fits):
                players = [*flips]
                grown = int((~mask[players]).sum() - mask[players].sum())
                moves.append(LayerMove(float(gains[players].sum()), grown, at, flips))
        moves.sort(key=lambda move: -move.gain)
        single = [(move.gain, move.flips) for move in moves if resize or not move.grown][:most]
        promising = sorted([*single, *pairs_of_moves(moves)], key=lambda change: -change[0])[:most]
        changes = [*moves_together(moves), *(flips for _, flips in promising)]
        out = np.repeat(mask[None], len(changes) + 1, axis=0)
        for row, flips in zip(out, changes, strict=False):
            row[[*flips]] ^= True
        best = self.projected(worth, None if resize else int(mask.sum()))
        out[-1] = mask if best is None else best
        return out[self.allows(out) & (out != mask).any(axis=1)]

    def check_size(self, keep: int) -> None:
        """Refuse a size that no allowed set has.

        Raises:
            InputError: the size, and the nearest ones that there are.
        """
        sizes = self._sizes()
        if keep in sizes:
            self._check_limits(keep)
            return
        near = [
            max((s for s in sizes if s < keep), default=None),
            min((s for s in sizes if s > keep), default=None),
        ]
        listed = " or ".join(str(size) for size in near if size)
        within = " within the limits" if self.limits else ""
        raise InputError(
            f"no set of {keep} of {self.n} players fits the form {self.name!r}{within}, whose layers must be "
            f"alike; {f'keep {listed}' if listed else 'loosen the limits'}"
        )

    def _check_limits(self, keep: int) -> None:
        zeros = np.zeros(self.n)
        if not self.limits or self.projected(zeros, keep) is not None:
            return
        for limit, used in self._limits.least(lambda prices: self._best(zeros, keep, prices)):
            if used > limit.most:
                raise InputError(
                    f"no set of {keep} of {self.n} players that fits the form {self.name!r} is within "
                    f"{limit.name} <= {limit.most:g}; the least is {used:g}"
                )
        names = ", ".join(limit.name for limit in self.limits)
        raise InputError(
            f"no set of {keep} of {self.n} players that fits the form {self.name!r} was found within all of "
            f"{names}; loosen one of them"
        )

    @cached_property
    def _limits(self) -> LayerLimits:
        return LayerLimits.of(self.limits, self.layers, self.n)

    def size_near(self, keep: int) -> int:
        """The largest size of an allowed set that is at most ``keep``, or the smallest size that there is."""
        sizes = self._sizes() - {0}
        return max((size for size in sizes if size <= keep), default=min(sizes, default=keep))

    def _sizes(self) -> set[int]:
        sizes: set[int] = set()
        for options in self._alike(np.zeros(self.n), self._limits.free):
            reached = {0}
            for of_layer in options:
                counts = {len(option.players) for option in of_layer}
                reached = {a + b for a in reached for b in counts}
            sizes |= reached
        return sizes

    def _alike(
        self, scores: Float64[np.ndarray, " n"], prices: Float64[np.ndarray, " k"]
    ) -> Iterator[list[list[LayerOption]]]:
        """The options of every layer, once for each shape that the layers may have in common."""
        priced = self._limits.priced(scores, prices)
        every = [
            self._limits.affordable(at, self._options(layer, priced), prices)
            for at, layer in enumerate(self.layers)
        ]
        compared = 2 * self.rule.same_heads or int(self.rule.same_groups)
        common = sorted({o.shape[:compared] for options in every for o in options if o.shape[0]})
        for shape in common:
            alike = [
                [o for o in options if not o.shape[0] or o.shape[:compared] == shape]
                for options in every
            ]
            if all(alike):
                yield alike

    def _fits(self, mask: Bool[np.ndarray, " n"]) -> Callable[[tuple[int, int]], bool]:
        """Whether a layer may have a shape, given those of the other layers."""
        shapes = (
            (int(g[0]), int(h[0])) for g, h, *_ in (x.shape_of(mask[None]) for x in self.layers)
        )
        common = next((shape for shape in shapes if shape[0]), None)
        compared = 2 * self.rule.same_heads or int(self.rule.same_groups)

        def fits(shape: tuple[int, int]) -> bool:
            alike = common is None or shape[:compared] == common[:compared]
            return not shape[0] or (alike and (self.shapes is None or shape in self.shapes))

        return fits

    def _options(self, layer: LayerPlayers, scores: np.ndarray) -> list[LayerOption]:
        out = []
        for option in layer_options(layer, scores):
            attention = bool(option.shape[0])
            if self.rule.whole and attention != option.mlp:
                continue
            if attention and self.shapes is not None and option.shape not in self.shapes:
                continue
            out.append(option)
        return out
