"""A tested circuit: its graph, and the values that knock-outs gave."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch
from matplotlib.patheffects import withStroke

from spex_mech.core.palette import FAINT, GREY, HELPS, HURTS, INK
from spex_mech.pruning.circuit import Circuit
from spex_mech.pruning.circuit_parts import Edge
from spex_mech.report.plots.style import column, columns, plain, shown, sign_color

_EDGES = 24
_LEGEND = 0.8  # inches below the axes
_RISE = 0.45  # of the distance between rows: how high an edge within a row may rise
_NARROWEST = 7.8  # inches, of the legend
_ROWS = 40
Place = tuple[float, float]


def circuit_graph(circuit: Circuit, *, edges: int = _EDGES) -> Figure:
    """A circuit's players by layer, joined by their strongest interactions.

    Parts of a model stand in a grid, layers upwards, with the removed ones as faint dots; other players
    stand on a circle. A node's area shows what the circuit loses without it, an edge's width the
    size of its interaction. Open nodes are not shown to be needed.

    Args:
        circuit: the circuit.
        edges: number of strongest edges to draw.
    """
    layered = all(p.layer is not None for p in circuit.players)
    figure, place = (_grid if layered else _circle)(circuit)
    axes = figure.axes[0]
    drawn = circuit.edges[:edges]
    top = max((abs(e.value) for e in drawn), default=1.0) or 1.0
    for edge in reversed(drawn):
        _draw(axes, edge, place, top)
    largest = max(abs(n.effect.mean) for n in circuit.nodes) or 1.0
    for node in circuit.nodes:
        x, y = place[node.name]
        color = sign_color(node.effect.mean)
        axes.scatter(
            x,
            y,
            s=60 + 420 * abs(node.effect.mean) / largest,
            color=color if node.needed else "white",
            edgecolor=color,
            linewidth=1.4,
            linestyle="-" if node.needed else "--",
            zorder=5,
        )
        label = node.name if layered else shown(node.name, 18)
        axes.annotate(
            label,
            (x, y),
            xytext=(0, -15),
            textcoords="offset points",
            ha="center",
            va="top",
            size=7.5,
            color=INK,
            zorder=6,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )
    axes.legend(
        handles=[
            _dot(HELPS, True, "circuit loses without it"),
            _dot(HURTS, True, "circuit gains without it"),
            _dot(INK, False, "not shown to be needed"),
            Line2D([], [], color=HELPS, linewidth=2, label="synergy"),
            Line2D([], [], color=HURTS, linewidth=2, label="redundancy"),
        ],
        frameon=False,
        fontsize=8,
        ncols=5,
        loc="lower center",
        bbox_to_anchor=(0.5, -_LEGEND / figure.get_figheight() if layered else -0.08),
        handletextpad=0.4,
        columnspacing=1.2,
    )
    axes.set_title(
        f"The {len(circuit.nodes)} kept of {circuit.players.n} players"
        + (f", and their {_strongest(len(drawn))} ({circuit.index})" if drawn else ""),
        size=10,
        loc="left",
        color=INK,
    )
    return figure


def circuit_tests(circuit: Circuit, *, parts: int = _ROWS) -> Figure:
    """Values of true ablations: of the whole circuit, of each part, and of random knock-outs.

    Left: the value of the model, of the circuit alone, of everything else, and of nothing. Middle: what
    the circuit loses without each part. Right: the same parts taken from circuit and model; on the line
    both lose the same (Wang et al. 2023, figure 4). Bars are 95 % intervals over questions.

    Args:
        circuit: the circuit.
        parts: most parts to show, those whose removal changes most.
    """
    largest = sorted(circuit.nodes, key=lambda n: -abs(n.effect.mean))[:parts]
    nodes = sorted(largest, key=lambda n: n.effect.mean)
    figure = Figure(figsize=(11, max(3.4, 1.3 + 0.2 * len(nodes))), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=[1, 1.2, 1.2])
    rows = {
        "model": circuit.full,
        "circuit alone": circuit.alone,
        "all but circuit": circuit.rest,
        "nothing": circuit.empty,
    }
    for y, (_, e) in enumerate(reversed(rows.items())):
        left.errorbar(
            e.mean, y, xerr=[[e.mean - e.low], [e.high - e.mean]], fmt="o", color=HELPS, capsize=3
        )
    left.set_yticks(range(len(rows)), list(reversed(rows)), size=9)
    left.set_ylim(-0.6, len(rows) - 0.4)
    left.set_xlabel(circuit.metric, size=9)
    left.set_title("faithfulness", size=10, loc="left", color=INK)
    for y, node in enumerate(nodes):
        e, color = node.effect, sign_color(node.effect.mean) if node.needed else GREY
        middle.errorbar(
            e.mean, y, xerr=[[e.mean - e.low], [e.high - e.mean]], fmt="o", ms=4, color=color
        )
    middle.axvline(0, color=INK, linewidth=0.8)
    middle.set_yticks(range(len(nodes)), [shown(n.name, 20) for n in nodes], size=8)
    middle.set_xlabel(
        f"{circuit.metric} lost without it (blue) or gained (red);\ngrey: not shown to be needed",
        size=9,
    )
    some = (
        f": {len(nodes)} of {len(circuit.nodes)} parts" if len(nodes) < len(circuit.nodes) else ""
    )
    middle.set_title(f"minimality{some}", size=10, loc="left", color=INK)
    for k in circuit.knock_outs:
        right.errorbar(
            k.model.mean,
            k.circuit.mean,
            xerr=[[k.model.mean - k.model.low], [k.model.high - k.model.mean]],
            yerr=[[k.circuit.mean - k.circuit.low], [k.circuit.high - k.circuit.mean]],
            fmt="o",
            ms=4,
            color=HELPS,
            elinewidth=0.8,
        )
    ends = [e.mean for k in circuit.knock_outs for e in (k.circuit, k.model)] or [0.0, 1.0]
    right.plot([min(ends), max(ends)], [min(ends), max(ends)], color=INK, linewidth=0.8)
    right.set_xlabel(f"model without K ({circuit.metric})", size=9)
    right.set_ylabel("circuit without K", size=9)
    right.set_title(
        f"completeness: {len(circuit.knock_outs)} random K", size=10, loc="left", color=INK
    )
    for axes in (left, middle, right):
        axes.grid(axis="x", alpha=0.25)
        plain(axes)
    return figure


def _grid(circuit: Circuit) -> tuple[Figure, Mapping[str, Place]]:
    """Layers upwards, heads to the right; all players as faint dots."""
    names = columns(circuit.players)
    layers = sorted({p.layer for p in circuit.players if p.layer is not None})
    place = {
        p.name: (float(names.index(column(p))), float(layers.index(p.layer)))  # type: ignore[arg-type]
        for p in circuit.players
    }
    figure = Figure(
        figsize=(max(_NARROWEST, 1.6 + 0.9 * len(names)), 1.7 + 0.95 * len(layers)),
        layout="constrained",
    )
    axes = figure.subplots()
    x, y = np.array(list(place.values())).T
    axes.scatter(x, y, s=14, color=FAINT, zorder=1)
    axes.set_xticks(range(len(names)), names, size=8, color="#777777")
    axes.set_yticks(range(len(layers)), [f"layer {layer}" for layer in layers], size=9)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_ylim(-0.65, len(layers) - 0.45)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure, place


def _circle(circuit: Circuit) -> tuple[Figure, Mapping[str, Place]]:
    """The circuit's players on a circle."""
    figure = Figure(figsize=(6.5, 6.5), layout="constrained")
    axes = figure.subplots()
    angle = np.pi / 2 - 2 * np.pi * np.arange(len(circuit.nodes)) / len(circuit.nodes)
    place = {
        node.name: (float(np.cos(a)), float(np.sin(a)))
        for node, a in zip(circuit.nodes, angle, strict=True)
    }
    axes.set_xlim(-1.3, 1.3)
    axes.set_ylim(-1.3, 1.3)
    axes.set_aspect("equal")
    axes.axis("off")
    return figure, place


def _draw(axes: Axes, edge: Edge, place: Mapping[str, Place], top: float) -> None:
    a, b = place[edge.source], place[edge.target]
    # Edges within a row would run through the nodes between: they bend more the farther they go, as far as
    # there is room above. An edge rises by half its bend times its length.
    across = abs(a[0] - b[0])
    bend = min(0.16 + 0.05 * across, 2 * _RISE / across) if a[1] == b[1] else 0.12
    axes.add_patch(
        FancyArrowPatch(
            a,
            b,
            arrowstyle="-",
            connectionstyle=f"arc3,rad={-bend}",
            color=sign_color(edge.value),
            linewidth=0.7 + 3.6 * abs(edge.value) / top,
            alpha=0.35 + 0.45 * abs(edge.value) / top,
            zorder=2,
        )
    )


def _strongest(pairs: int) -> str:
    return "only pair" if pairs == 1 else f"{pairs} strongest pairs"


def _dot(color: str, filled: bool, label: str) -> Line2D:
    return Line2D(
        [],
        [],
        marker="o",
        linestyle="",
        markersize=7,
        color=color,
        markerfacecolor=color if filled else "white",
        label=label,
    )
