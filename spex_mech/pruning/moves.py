"""Searching kept sets on a surrogate: neighbours within a budget, climbing, growing and shrinking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.core.limits import Limit

Surrogate = Callable[[Bool[np.ndarray, "m n"]], Float64[np.ndarray, " m"]]

_MANY_SWAPS = 40_000
_FEW_PLAYERS = 96  # on either side of a swap, where there are too many swaps
_LIKELY = 8  # players on either side of a swap that is looked at first
_FILLINGS = 8  # ways to fill a group that another makes room for


@dataclass(frozen=True, eq=False)
class Budget:
    """Which sets may be kept.

    Attributes:
        n: number of players.
        keep: how many to keep; None for any number.
        limits: what they may take.
    """

    n: int
    keep: int | None
    limits: Sequence[Limit] = ()

    def allows(self, masks: Bool[np.ndarray, "m n"]) -> Bool[np.ndarray, " m"]:
        """Which sets are of the size and within all limits."""
        inside = np.ones(len(masks), dtype=bool)
        if self.keep is not None:
            inside &= masks.sum(axis=1) == self.keep
        for limit in self.limits:
            inside &= limit.allows(masks)
        return inside


def swaps(mask: Bool[np.ndarray, " n"]) -> Bool[np.ndarray, "s n"]:
    """All masks that exchange one kept player for a removed one."""
    return _exchanged(mask, np.flatnonzero(mask), np.flatnonzero(~mask))


def neighbours(
    mask: Bool[np.ndarray, " n"], budget: Budget, surrogate: Surrogate | None = None
) -> Bool[np.ndarray, "s n"]:
    """The sets next to one: a swap away, a player more or less where the size is free, a group for another.

    A limit on groups needs the last: between two sets that keep all of one group there is no way by
    single swaps. Where there are more than 40,000 swaps, only those among the 96 kept players that a
    surrogate misses least and the 96 removed ones that it wants most.
    """
    kept, gone = np.flatnonzero(mask), np.flatnonzero(~mask)
    if surrogate is not None and len(kept) * len(gone) > _MANY_SWAPS:
        kept = kept[np.argsort(-surrogate(_flipped(mask, kept)), kind="stable")[:_FEW_PLAYERS]]
        gone = gone[np.argsort(-surrogate(_flipped(mask, gone)), kind="stable")[:_FEW_PLAYERS]]
    near = [_exchanged(mask, kept, gone), *_group_moves(mask, budget)]
    if budget.keep is None:
        near.append(_flipped(mask, np.arange(len(mask))))
    found = np.concatenate(near)
    return found[budget.allows(found)]


def climb(
    surrogate: Surrogate, mask: Bool[np.ndarray, " n"], budget: Budget
) -> Bool[np.ndarray, " n"]:
    """The best neighbour, and its best neighbour, until none is better.

    Most steps look only at exchanges of players that are little missed for some that are much wanted, one
    or many at a time; all `neighbours` are looked at where these do not help.
    """
    value = surrogate(mask[None])[0]
    while True:
        for look in (_likely, neighbours):
            near = look(mask, budget, surrogate)
            values = surrogate(near)
            if len(near) and values.max() > value + 1e-12:
                mask, value = near[values.argmax()], values.max()
                break
        else:
            return mask


def resized(
    surrogate: Surrogate, mask: Bool[np.ndarray, " n"], budget: Budget
) -> Bool[np.ndarray, " n"] | None:
    """A set brought within a budget: the least missed players go, or the most wanted come, in turn.

    One at a time, or an eighth of what is to go or to come, if that is more. None where it does not lead
    to an allowed set.
    """
    loose = Budget(budget.n, None, budget.limits)
    size = budget.n if budget.keep is None else budget.keep
    while mask.sum() > size:
        mask = _moved(surrogate, mask, np.flatnonzero(mask), int(mask.sum()) - size)
    while mask.any() and not loose.allows(mask[None])[0]:
        mask = _moved(surrogate, mask, np.flatnonzero(mask), 1)
    while budget.keep is not None and mask.sum() < size:
        gone = np.flatnonzero(~mask)
        free = gone if not budget.limits else gone[loose.allows(_flipped(mask, gone))]
        if not len(free):
            return None
        surplus = size - int(mask.sum()) if not budget.limits else 1
        mask = _moved(surrogate, mask, free, surplus)
    return mask if budget.allows(mask[None])[0] else None


def random_sets(budget: Budget, count: int, rng: np.random.Generator) -> Bool[np.ndarray, "c n"]:
    """Up to ``count`` random allowed sets: players in random order, each kept if the limits let it."""
    n, size = budget.n, budget.n if budget.keep is None else budget.keep
    if not budget.limits:
        return rng.permuted(np.tile(np.arange(n) < size, (count, 1)), axis=1)
    found = np.zeros((count, n), dtype=bool)
    for row in found:
        for i in rng.permutation(n):
            if row.sum() == size:
                break
            row[i] = True
            row[i] = all(limit.allows(row[None])[0] for limit in budget.limits)
    return found[budget.allows(found)]


def _moved(surrogate: Surrogate, mask: np.ndarray, players: np.ndarray, surplus: int) -> np.ndarray:
    """The mask with the players whose change does best changed, at most an eighth of the surplus."""
    best = np.argsort(-surrogate(_flipped(mask, players)), kind="stable")[: max(1, surplus // 8)]
    out = mask.copy()
    out[players[best]] ^= True
    return out


def _likely(
    mask: Bool[np.ndarray, " n"], budget: Budget, surrogate: Surrogate
) -> Bool[np.ndarray, "s n"]:
    """Swaps among the 8 players on either side whose single moves do best, and several swaps at once."""
    kept, gone = np.flatnonzero(mask), np.flatnonzero(~mask)
    fewer, more = _flipped(mask, kept), _flipped(mask, gone)
    kept = kept[np.argsort(-surrogate(fewer), kind="stable")]
    gone = gone[np.argsort(-surrogate(more), kind="stable")]
    near = [_exchanged(mask, kept[:_LIKELY], gone[:_LIKELY])]
    together = 2
    while together <= min(len(kept), len(gone)):
        many = mask.copy()
        many[kept[:together]], many[gone[:together]] = False, True
        near.append(many[None])
        together *= 2
    if budget.keep is None:
        near += [fewer, more]
    found = np.concatenate(near)
    return found[budget.allows(found)]


def _flipped(mask: np.ndarray, players: np.ndarray) -> np.ndarray:
    """The mask with each of some players in turn kept instead of removed, or the other way round."""
    out = np.repeat(mask[None], len(players), axis=0)
    out[np.arange(len(players)), players] ^= True
    return out


def _exchanged(mask: np.ndarray, kept: np.ndarray, gone: np.ndarray) -> np.ndarray:
    out = np.repeat(mask[None], len(kept) * len(gone), axis=0)
    rows = np.arange(len(out))
    out[rows, np.repeat(kept, len(gone))] = False
    out[rows, np.tile(gone, len(kept))] = True
    return out


def _group_moves(mask: np.ndarray, budget: Budget) -> list[np.ndarray]:
    """One group's kept players for as many (or, where the size is free, all) of another group."""
    moves = []
    for limit in budget.limits:
        groups = [list(members) for members, _ in limit.groups]
        for alive in (g for g in groups if mask[g].any()):
            leaving = [i for i in alive if mask[i]]
            for dead in (g for g in groups if not mask[g].any()):
                coming = len(dead) if budget.keep is None else len(leaving)
                for filling in islice(combinations(dead, coming), _FILLINGS):
                    moved = mask.copy()
                    moved[leaving], moved[list(filling)] = False, True
                    moves.append(moved[None])
    return moves
