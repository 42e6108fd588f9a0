"""Figures of all players at once: effects by layer and head, and interactions of pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from spex_mech.core.interactions import Interactions
from spex_mech.core.palette import INK
from spex_mech.core.players import PlayerSet
from spex_mech.report.plots.style import MAP, column, columns, shown, sign_color

_LIES_FROM = 2  # times as many layers as columns
_FEW = 64  # cells whose numbers are all written
_PAGE = 10.6  # inches that a report has for a figure at natural size
_BESIDE = 2.2  # inches beside a map, of labels and colours
_CELLS = (
    0.28,
    0.5,
)  # inches of a cell of a map with many: a number of 6 points fits into the first
_NUMBERED = 40  # columns; the page makes maps with more so small that numbers cannot be read
_LONG = 8  # cells; longer arcs are flatter, so that they stay on the map


def head_map(
    effects: Interactions, joint: Interactions, players: PlayerSet, *, pairs: int = 12
) -> Figure:
    """Every player's average effect as a layer × head map, with the strongest pairs as arcs.

    Args:
        effects: order-1 values, such as Banzhaf or Shapley values; positive = helps.
        joint: interactions whose pairs are drawn; positive = synergy.
        players: heads, key/value groups, MLPs or layers of a model.
        pairs: number of strongest pairs to draw.

    Raises:
        InputError: players that are not parts of a model.
    """
    names = columns(players)
    layers = sorted({p.layer for p in players if p.layer is not None})
    lies = len(layers) > _LIES_FROM * len(names)  # a deep model's layers run from left to right
    grid = np.full((len(layers), len(names)), np.nan)
    place = {}
    for i, player in enumerate(players):
        at, row = names.index(column(player)), layers.index(player.layer)  # type: ignore[arg-type]
        place[i] = (row, at) if lies else (at, row)
        grid[row, at] = effects.values.get((i,), 0.0)
    labels = (names, [f"layer {layer}" for layer in layers])
    if lies:
        grid, labels = grid.T, ([str(layer) for layer in layers], names)
    many = grid.size > _FEW
    cell = float(np.clip((_PAGE - _BESIDE) / grid.shape[1], *_CELLS)) if many else 0.72
    figure = _grid_figure(grid.shape, cell)
    axes = figure.subplots()
    largest = float(np.nanmax(np.abs(grid))) or 1.0
    # One head that does most of the work would leave all others white.
    span = float(np.nanquantile(np.abs(grid), 0.98)) or largest if many else largest
    image = axes.imshow(grid, cmap=MAP, norm=TwoSlopeNorm(0, -span, span), aspect="equal")
    if grid.shape[1] <= _NUMBERED:
        _numbers(axes, grid, span, all_cells=not many)
    _arcs(axes, joint, place, pairs)
    axes.set_xticks(range(len(labels[0])), labels[0], size=9)
    axes.set_yticks(range(len(labels[1])), labels[1], size=9)
    if lies:
        axes.set_xlabel("layer", size=9)
    axes.set_xlim(-0.55, len(labels[0]) - 0.45)
    axes.set_ylim(-0.75, len(labels[1]) - 0.45)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(
        image, ax=axes, shrink=0.8, extend="both" if span < largest else "neither"
    )
    bar.set_label(f"average effect ({effects.index} value)", size=9)
    bar.ax.tick_params(labelsize=8)
    drawn = min(pairs, sum(len(s) == 2 for s in joint.values))
    axes.set_title(
        f"Average effect of each part, and the {drawn} strongest pairs ({joint.index})\n"
        "blue: helps, or worth more together · red: hurts, or partly redundant",
        size=10,
        loc="left",
        color=INK,
    )
    return figure


def _numbers(axes: Axes, grid: np.ndarray, span: float, *, all_cells: bool) -> None:
    """Write effects into the cells of a map, the small ones only where all are to be written."""
    for (row, at), effect in np.ndenumerate(grid):
        if np.isfinite(effect) and (all_cells or abs(effect) >= 0.1 * span):
            axes.text(
                at,
                row + 0.32,
                f"{effect:+.2f}",
                ha="center",
                va="center",
                size=7 if all_cells else 6,
                color="white" if abs(effect) > 0.6 * span else INK,
                zorder=6,
            )


def _grid_figure(shape: tuple[int, int], cell: float) -> Figure:
    """A figure for a map of rows and columns, whose cells are so many inches wide."""
    rows, across = shape
    return Figure(figsize=(_BESIDE + cell * across, 1.6 + cell * rows), layout="constrained")


def interaction_matrix(
    effects: Interactions, joint: Interactions, players: PlayerSet, *, k: int = 24
) -> Figure:
    """Interactions of all pairs of the players that take most part in them, effects on the diagonal.

    Args:
        effects: order-1 values, such as Banzhaf values; they stand on the diagonal.
        joint: interactions; those of two players are drawn, positive = synergy.
        players: the players.
        k: number of players, those with the largest sums of absolute values.
    """
    weight = np.zeros(players.n)
    for members, value in joint.values.items():
        if len(members) == 2:
            weight[list(members)] += abs(value)
    for (i,), value in ((s, v) for s, v in effects.values.items() if len(s) == 1):
        weight[i] += 1e-9 * abs(value)
    chosen = np.sort(np.argsort(-weight, kind="stable")[: min(k, players.n)])
    place = {int(p): row for row, p in enumerate(chosen)}
    grid = np.zeros((len(chosen), len(chosen)))
    for members, value in joint.values.items():
        if len(members) == 2 and all(m in place for m in members):
            a, b = (place[m] for m in members)
            grid[a, b] = grid[b, a] = value
    pairs = grid.copy()
    for p, row in place.items():
        grid[row, row] = effects.values.get((p,), 0.0)
    side = 2.4 + 0.24 * len(chosen)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    span = float(np.abs(pairs).max()) or 1.0
    image = axes.imshow(grid, cmap=MAP, norm=TwoSlopeNorm(0, -span, span), aspect="equal")
    names = [shown(players.names[p], 24) for p in chosen]
    axes.set_xticks(range(len(names)), names, size=8, rotation=90)
    axes.set_yticks(range(len(names)), names, size=8)
    axes.set_xticks(np.arange(-0.5, len(names)), minor=True)
    axes.set_yticks(np.arange(-0.5, len(names)), minor=True)
    axes.grid(which="minor", color="white", linewidth=0.8)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    for row in range(len(names)):
        axes.add_patch(
            Rectangle((row - 0.5, row - 0.5), 1, 1, fill=False, ec=INK, lw=0.9, zorder=4)
        )
    bar = figure.colorbar(image, ax=axes, shrink=0.8, extend="both")
    bar.set_label(f"{joint.index} of a pair; on the diagonal {effects.index}", size=9)
    bar.ax.tick_params(labelsize=8)
    few = f"The {len(chosen)} of {players.n} players with" if len(chosen) < players.n else "All"
    axes.set_title(
        f"{few} the largest pairwise interactions" if few != "All" else "Pairwise interactions",
        size=10,
        loc="left",
        color=INK,
    )
    return figure


def _arcs(
    axes: Axes, joint: Interactions, place: Mapping[int, tuple[int, int]], pairs: int
) -> None:
    strongest: Sequence = sorted(
        ((s, v) for s, v in joint.values.items() if len(s) == 2), key=lambda item: -abs(item[1])
    )[:pairs]
    for (a, b), value in reversed(strongest):
        length = np.hypot(*np.subtract(place[a], place[b]))
        width = 0.8 + 3.2 * abs(value) / abs(strongest[0][1])
        axes.annotate(
            "",
            xy=place[b],
            xytext=place[a],
            arrowprops={
                "arrowstyle": "-",
                "color": sign_color(value),
                "linewidth": width,
                "alpha": 0.75,
                "connectionstyle": f"arc3,rad={0.22 * min(1, _LONG / length):.3f}",
                "shrinkA": 2,
                "shrinkB": 2,
            },
        )
    ends = [place[i] for s, _ in strongest for i in s]
    if ends:
        axes.scatter(*zip(*ends, strict=True), s=16, color=INK, zorder=5)
