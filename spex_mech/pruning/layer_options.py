"""What one layer may keep where each of its key/value groups keeps equally many query heads, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64


@dataclass(frozen=True, eq=False)
class LayerPlayers:
    """The players of a layer, by their positions; -1 for what is no player and always stays.

    Attributes:
        heads: int64 (groups, heads of a group). A whole group or layer that is one player has its position
            everywhere.
        mlp: the MLP's.
    """

    heads: Int64[np.ndarray, "g s"]
    mlp: int

    def shape_of(
        self, masks: Bool[np.ndarray, "m n"]
    ) -> tuple[
        Int64[np.ndarray, " m"],
        Int64[np.ndarray, " m"],
        Bool[np.ndarray, " m"],
        Bool[np.ndarray, " m"],
    ]:
        """Groups left, query heads on each, whether these are equally many, and whether the MLP is left."""
        known = np.concatenate([masks, np.ones((len(masks), 1), dtype=bool)], axis=1)  # of -1
        counts = known[:, self.heads].sum(axis=2)
        most = counts.max(axis=1)
        even = ((counts == 0) | (counts == most[:, None])).all(axis=1)
        return (counts > 0).sum(axis=1), most, even, known[:, self.mlp]

    @property
    def is_one(self) -> bool:
        """Whether the layer is one player."""
        return self.mlp >= 0 and bool((self.heads == self.mlp).all())


@dataclass(frozen=True)
class LayerOption:
    """One way to keep a layer.

    Attributes:
        shape: key/value groups left, and query heads on each of them.
        mlp: whether the MLP is left.
        players: positions of the players kept.
        score: sum of their scores.
    """

    shape: tuple[int, int]
    mlp: bool
    players: tuple[int, ...]
    score: float


def layer_options(layer: LayerPlayers, scores: Float64[np.ndarray, " n"]) -> list[LayerOption]:
    """For every shape of a layer, and with and without its MLP, the players with the highest scores."""
    groups, size = layer.heads.shape
    if layer.is_one:
        whole = LayerOption((groups, size), True, (layer.mlp,), float(scores[layer.mlp]))
        return [LayerOption((0, 0), False, (), 0.0), whole]
    attention = [*_attention_options(layer.heads, scores)]
    out = []
    for shape, players, score in attention:
        if layer.mlp < 0:
            out.append(LayerOption(shape, True, players, score))
            continue
        kept = (*players, layer.mlp)
        out.append(LayerOption(shape, True, kept, score + float(scores[layer.mlp])))
        out.append(LayerOption(shape, False, players, score))
    return out


def layer_moves(
    layer: LayerPlayers,
    mask: Bool[np.ndarray, " n"],
    worth: Float64[np.ndarray, " n"],
    fits: Callable[[tuple[int, int]], bool],
) -> Iterator[tuple[int, ...]]:
    """Changes of one layer, each as the players that change sides.

    A head is exchanged for another of its group, a group for another, or the layer gets another shape that
    is one step away, with the players that are worth most.

    Args:
        layer: its players.
        mask: bool (n,), what is kept now; evenly in this layer.
        worth: float64 (n,), what keeping each player is worth.
        fits: whether the layer may have a shape.
    """
    kept = {int(i) for i in {*layer.heads.ravel().tolist(), layer.mlp} if i >= 0 and mask[i]}
    groups, heads, _, mlp = (x[0] for x in layer.shape_of(mask[None]))
    rows = [[int(i) for i in row] for row in layer.heads]
    if not layer.is_one:
        for row in rows:
            alive, gone = (
                [i for i in {*row} if i >= 0 and mask[i] == side] for side in (True, False)
            )
            if len(alive) + row.count(-1):  # not of a group that is gone
                yield from ((a, b) for a in alive for b in gone)
        yield from _group_moves(rows, mask, int(heads), worth)
    if layer.mlp >= 0 and not layer.is_one:
        yield (layer.mlp,)
    for option in layer_options(layer, worth):
        same_mlp = option.mlp == mlp or not (option.shape[0] and groups)
        one_step = _one_step((int(groups), int(heads)), option.shape)
        if same_mlp and one_step and fits(option.shape):
            yield tuple({*option.players} ^ kept)


def _attention_options(
    heads: np.ndarray, scores: np.ndarray
) -> Iterator[tuple[tuple[int, int], tuple[int, ...], float]]:
    """Shape, players and score of the best way to keep each shape of attention."""
    choices = [_group_choices(row, scores) for row in heads.tolist()]
    if all(0 in of_group for of_group in choices):
        yield (0, 0), (), 0.0
    for size in range(1, heads.shape[1] + 1):
        able = [of_group for of_group in choices if size in of_group]
        forced = [of_group for of_group in choices if 0 not in of_group]
        if any(size not in of_group for of_group in forced):
            continue
        free = [of_group for of_group in able if 0 in of_group]
        free.sort(key=lambda of_group: -of_group[size][1])
        for count in range(len(free) + 1):
            chosen = [of_group[size] for of_group in (*forced, *free[:count])]
            if chosen:
                players = tuple(i for of_group, _ in chosen for i in of_group)
                yield (len(chosen), size), players, float(sum(score for _, score in chosen))


def _group_choices(row: list[int], scores: np.ndarray) -> dict[int, tuple[tuple[int, ...], float]]:
    """Number of heads of a group to the players that are kept for it, and their score."""
    players = {i for i in row if i >= 0}
    if len(row) > 1 and len(players) == 1 and -1 not in row:
        (one,) = players
        return {0: ((), 0.0), len(row): ((one,), float(scores[one]))}
    order = sorted(players, key=lambda i: (-scores[i], i))
    fixed = row.count(-1)
    return {
        fixed + count: (tuple(order[:count]), float(sum(scores[i] for i in order[:count])))
        for count in range(len(order) + 1)
    }


def _group_moves(
    rows: list[list[int]], mask: np.ndarray, heads: int, worth: np.ndarray
) -> Iterator[tuple[int, ...]]:
    """Exchange the kept players of a group for as many of a group of which none is kept."""
    sides: tuple[list, list] = ([], [])
    for row in (row for row in rows if -1 not in row):
        sides[bool(mask[row].any())].append(row)
    for alive in sides[True]:
        leaving = [i for i in {*alive} if mask[i]]
        for gone in sides[False]:
            choice = _group_choices(gone, worth).get(heads)
            if choice is not None:
                yield (*leaving, *choice[0])


def _one_step(now: tuple[int, int], then: tuple[int, int]) -> bool:
    """Whether two shapes differ by one group, by one head a group, or one of them is none."""
    if not now[0] or not then[0]:
        return now != then
    return abs(now[0] - then[0]) + abs(now[1] - then[1]) == 1
