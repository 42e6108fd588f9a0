"""Moves between sets of players: swaps, hill climbing on a surrogate, and changes of size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np
from jaxtyping import Bool, Float64, Int64

from spex_mech.core.limits import Limit
from spex_mech.pruning.layer_sets import LayerSets
from spex_mech.pruning.nearby import Nearby, SetFunction, exchanged, flipped, near

_MANY_SWAPS = 4096
_FEW_PLAYERS = 64  # players on either side of a swap, where there are too many swaps
_LIKELY = 8  # players on either side of a swap that is looked at first
_ROUNDING = 1e-11  # by how much a value that is a difference may be off
_PROMISING = 32  # moves within a rule for layers that are looked at first
_MOST_MOVES = 1024  # moves within such a rule that are looked at
_FILLINGS = 8  # ways to fill a group with the players that another group gives up


@dataclass(frozen=True, eq=False)
class AllowedSets:
    """The sets that may be kept.

    Attributes:
        n: number of players.
        keep: how many to keep; None for any number.
        limits: upper bounds on what the kept players use.
        rule: what the layers have in common; None for nothing.
    """

    n: int
    keep: int | None
    limits: Sequence[Limit] = ()
    rule: LayerSets | None = None

    def allows(self, masks: Bool[np.ndarray, "m n"]) -> Bool[np.ndarray, " m"]:
        """Whether each set has the size and is within all limits."""
        inside = np.ones(len(masks), dtype=bool)
        if self.keep is not None:
            inside &= masks.sum(axis=1) == self.keep
        for limit in self.limits:
            inside &= limit.allows(masks)
        return inside if self.rule is None else inside & self.rule.allows(masks)

    def of_size(self, keep: int) -> AllowedSets:
        """Sets of another size within the same limits."""
        return AllowedSets(self.n, keep, self.limits, self.rule)

    def without_rule(self, keep: int) -> AllowedSets:
        """Sets of a size within the limits, whatever the layers have in common."""
        return AllowedSets(self.n, keep, self.bounds)

    @property
    def bounds(self) -> Sequence[Limit]:
        """The limits, those beside a rule included."""
        return self.limits if self.rule is None else self.rule.limits


def swaps(mask: Bool[np.ndarray, " n"]) -> Bool[np.ndarray, "s n"]:
    """All masks that exchange one kept player for a removed one."""
    kept, gone = np.flatnonzero(mask), np.flatnonzero(~mask)
    return exchanged(mask, np.repeat(kept, len(gone)), np.tile(gone, len(kept)))


def neighbours(
    mask: Bool[np.ndarray, " n"], allowed: AllowedSets, surrogate: SetFunction
) -> tuple[Bool[np.ndarray, "s n"], Float64[np.ndarray, " s"]]:
    """The allowed sets that are one move away from a set, and their values.

    They differ by a swap of two players, by one player where the size is free, or by one group of a limit
    exchanged for another. Groups are exchanged whole because single swaps cannot lead from one full group to
    another. Where there are more than 4,096 swaps, only some are taken: swaps of the 64 kept players whose
    removal lowers the surrogate least, and of the 64 removed players whose return raises it most. Under a
    rule for layers the moves are those of `LayerSets.neighbours`.
    """
    around = near(surrogate, mask)
    if allowed.rule is not None:
        return _within_rule(mask, allowed, allowed.rule, surrogate)
    kept, gone = np.flatnonzero(mask), np.flatnonzero(~mask)
    if len(kept) * len(gone) > _MANY_SWAPS:
        kept, gone = _best_players(around, mask, _FEW_PLAYERS)
    sets = [exchanged(mask, np.repeat(kept, len(gone)), np.tile(gone, len(kept)))]
    values = [around.swaps(kept, gone).ravel()]
    if groups := _group_moves(mask, allowed):
        sets.append(np.concatenate(groups))
        values.append(surrogate(sets[-1]))
    if allowed.keep is None:
        sets.append(flipped(mask, np.arange(len(mask))))
        values.append(around.flips())
    return _allowed(allowed, np.concatenate(sets), np.concatenate(values))


def climb(
    surrogate: SetFunction, mask: Bool[np.ndarray, " n"], allowed: AllowedSets
) -> Bool[np.ndarray, " n"]:
    """Move to the best neighbour again and again, until no neighbour is better.

    Most steps only try to exchange kept players whose removal costs least for removed players whose return
    gains most, one or many at a time. All `neighbours` are tried where none of these is better.
    """
    while True:
        value = near(surrogate, mask).value
        for sets_near in (_likely, neighbours):
            sets, values = sets_near(mask, allowed, surrogate)
            if len(sets) and values.max() > value + _ROUNDING * max(1.0, abs(value)):
                mask = sets[values.argmax()]
                break
        else:
            return mask


def resized(
    surrogate: SetFunction, mask: Bool[np.ndarray, " n"], allowed: AllowedSets
) -> Bool[np.ndarray, " n"] | None:
    """Turn a set into an allowed one by removing or adding players.

    Players whose removal costs least are removed, or players whose return gains most are added: one at a
    time, or an eighth of the difference in size at a time, if that is more. The result is None where this
    does not lead to an allowed set. Under a rule for layers it is the allowed set of those players whose
    single moves say that they are worth most.
    """
    if allowed.rule is not None:
        around = near(surrogate, mask)
        gains = around.flips() - around.value
        return allowed.rule.projected(np.where(mask, -gains, gains), allowed.keep)
    any_size = AllowedSets(allowed.n, None, allowed.limits)
    size = allowed.n if allowed.keep is None else allowed.keep
    while mask.sum() > size:
        mask = _moved(surrogate, mask, np.flatnonzero(mask), int(mask.sum()) - size)
    while mask.any() and not any_size.allows(mask[None])[0]:
        mask = _moved(surrogate, mask, np.flatnonzero(mask), 1)
    while allowed.keep is not None and mask.sum() < size:
        gone = np.flatnonzero(~mask)
        free = gone if not allowed.limits else gone[any_size.allows(flipped(mask, gone))]
        if not len(free):
            return None
        surplus = size - int(mask.sum()) if not allowed.limits else 1
        mask = _moved(surrogate, mask, free, surplus)
    return mask if allowed.allows(mask[None])[0] else None


def random_sets(
    allowed: AllowedSets, count: int, rng: np.random.Generator
) -> Bool[np.ndarray, "c n"]:
    """Up to ``count`` random allowed sets: players in random order, each kept if the limits allow it."""
    n, size = allowed.n, allowed.n if allowed.keep is None else allowed.keep
    if allowed.rule is not None:
        drawn = [allowed.rule.projected(rng.standard_normal(n), allowed.keep) for _ in range(count)]
        return np.array([row for row in drawn if row is not None], dtype=bool).reshape(-1, n)
    if not allowed.limits:
        return rng.permuted(np.tile(np.arange(n) < size, (count, 1)), axis=1)
    sets = np.zeros((count, n), dtype=bool)
    for row in sets:
        for i in rng.permutation(n):
            if row.sum() == size:
                break
            row[i] = True
            row[i] = all(limit.allows(row[None])[0] for limit in allowed.limits)
    return sets[allowed.allows(sets)]


def _moved(
    surrogate: SetFunction, mask: np.ndarray, players: np.ndarray, surplus: int
) -> np.ndarray:
    """Change the players whose change is best: an eighth of ``surplus``, but one at least."""
    values = near(surrogate, mask).flips()[players]
    best = np.argsort(-values, kind="stable")[: max(1, surplus // 8)]
    out = mask.copy()
    out[players[best]] ^= True
    return out


def _likely(
    mask: Bool[np.ndarray, " n"], allowed: AllowedSets, surrogate: SetFunction
) -> tuple[Bool[np.ndarray, "s n"], Float64[np.ndarray, " s"]]:
    """Swaps among the 8 players on either side whose single moves are best, and several swaps at once."""
    if allowed.rule is not None:
        return _within_rule(mask, allowed, allowed.rule, surrogate, _PROMISING)
    around = near(surrogate, mask)
    kept, gone = _best_players(around, mask, len(mask))
    some_kept, some_gone = kept[:_LIKELY], gone[:_LIKELY]
    pairs = np.repeat(some_kept, len(some_gone)), np.tile(some_gone, len(some_kept))
    sets, values = [exchanged(mask, *pairs)], [around.swaps(some_kept, some_gone).ravel()]
    together, many = 2, []
    while together <= min(len(kept), len(gone)):
        many.append(mask.copy())
        many[-1][kept[:together]], many[-1][gone[:together]] = False, True
        together *= 2
    if many:
        sets.append(np.array(many))
        values.append(surrogate(sets[-1]))
    if allowed.keep is None:
        sets.append(flipped(mask, np.arange(len(mask))))
        values.append(around.flips())
    return _allowed(allowed, np.concatenate(sets), np.concatenate(values))


def _within_rule(
    mask: Bool[np.ndarray, " n"],
    allowed: AllowedSets,
    rule: LayerSets,
    surrogate: SetFunction,
    most: int = _MOST_MOVES,
) -> tuple[Bool[np.ndarray, "s n"], Float64[np.ndarray, " s"]]:
    """Allowed sets near one under a rule for layers, the ``most`` promising ones, and their values."""
    around = near(surrogate, mask)
    gains = around.flips() - around.value
    sets = rule.neighbours(mask, gains, resize=allowed.keep is None, most=most)
    return sets, surrogate(sets)


def _best_players(
    around: Nearby, mask: np.ndarray, count: int
) -> tuple[Int64[np.ndarray, " k"], Int64[np.ndarray, " g"]]:
    """Kept players whose removal costs least, and removed ones whose return gains most; best first."""
    order = np.argsort(-around.flips(), kind="stable")
    return order[mask[order]][:count], order[~mask[order]][:count]


def _allowed(allowed: AllowedSets, sets: np.ndarray, values: np.ndarray) -> tuple:
    inside = allowed.allows(sets)
    return sets[inside], values[inside]


def _group_moves(mask: np.ndarray, allowed: AllowedSets) -> list[np.ndarray]:
    """Exchange a group's kept players for as many of another group, or all of it if the size is free."""
    moves = []
    for limit in allowed.limits:
        groups = [list(members) for members, _ in limit.groups]
        for alive in (g for g in groups if mask[g].any()):
            leaving = [i for i in alive if mask[i]]
            for dead in (g for g in groups if not mask[g].any()):
                coming = len(dead) if allowed.keep is None else len(leaving)
                for filling in islice(combinations(dead, coming), _FILLINGS):
                    moved = mask.copy()
                    moved[leaving], moved[list(filling)] = False, True
                    moves.append(moved[None])
    return moves
