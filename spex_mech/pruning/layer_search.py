"""Searching sets layer by layer: the best option of each, and changes of several layers at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from spex_mech.pruning.layer_options import LayerOption

_PAIRED = (
    48  # changes of size, of each number of players, that are paired with those of other layers
)


@dataclass(frozen=True)
class LayerMove:
    """A change of one layer.

    Attributes:
        gain: sum of what each change of a player adds alone.
        grown: players more than before.
        at: the layer.
        flips: the players that change sides.
    """

    gain: float
    grown: int
    at: int
    flips: tuple[int, ...]


def best_sum(
    options: Sequence[Sequence[LayerOption]], n: int, keep: int | None
) -> tuple[float, list[LayerOption]] | None:
    """One option for each layer with the highest sum of scores, of ``keep`` players together."""
    most = n if keep is None else keep
    totals = np.full(most + 1, -np.inf)
    totals[0] = 0.0
    taken: list[Int64[np.ndarray, " c"]] = []
    for of_layer in options:
        new, choice = np.full(most + 1, -np.inf), np.full(most + 1, -1)
        for k, option in enumerate(of_layer):
            count = len(option.players)
            if count > most:
                continue
            sums = totals[: most + 1 - count] + option.score
            better = sums > new[count:]
            new[count:][better], choice[count:][better] = sums[better], k
        totals = new
        taken.append(choice)
    at = int(totals.argmax()) if keep is None else keep
    if not np.isfinite(totals[at]):
        return None
    value, chosen = float(totals[at]), []
    for of_layer, choice in zip(reversed(options), reversed(taken), strict=True):
        option = of_layer[choice[at]]
        chosen.append(option)
        at -= len(option.players)
    return value, chosen


def pairs_of_moves(moves: Sequence[LayerMove]) -> list[tuple[float, tuple[int, ...]]]:
    """Changes of size in two layers that leave the number of players as it is; moves are best first."""
    by_size: dict[int, list[LayerMove]] = {}
    for move in moves:
        if len(kept := by_size.setdefault(move.grown, [])) < _PAIRED:
            kept.append(move)
    return [
        (up.gain + down.gain, (*up.flips, *down.flips))
        for grown, ups in by_size.items()
        if grown > 0
        for up in ups
        for down in by_size.get(-grown, ())
        if up.at != down.at
    ]


def moves_together(moves: Sequence[LayerMove]) -> list[tuple[int, ...]]:
    """The best moves of 2, 4, 8 ... layers that leave the number of players as it is."""
    best: dict[int, LayerMove] = {}
    for move in moves:
        if not move.grown and move.gain > 0:
            best.setdefault(move.at, move)
    order = [*best.values()]
    counts = (2**k for k in range(1, len(order).bit_length()))
    return [tuple(i for move in order[:count] for i in move.flips) for count in counts]
