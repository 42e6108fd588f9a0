"""Figures. Every function returns a `matplotlib.figure.Figure`; nothing touches pyplot's global state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from spex_mech.errors import InputError
from spex_mech.indices import Interactions
from spex_mech.players import Player, PlayerSet
from spex_mech.stats import Estimate

_HELPS, _HURTS, _INK = "#2a6f97", "#c8553d", "#333333"
_LINES = ("#2a6f97", "#8a8d91", "#e09f3e", "#9e2a2b", "#6a994e")
_MAP = "RdBu"


def head_map(
    effects: Interactions, joint: Interactions, players: PlayerSet, *, pairs: int = 12
) -> Figure:
    """Every player's average effect as a layer × head map, with the strongest pairs as arcs.

    Args:
        effects: order-1 values, such as Banzhaf or Shapley values; positive = helps.
        joint: interactions whose pairs are drawn; positive = synergy.
        players: heads, key/value groups, MLPs or layers of a model.
        pairs: how many of the strongest pairs to draw.

    Raises:
        InputError: players that are not parts of a model.
    """
    columns = _columns(players)
    layers = sorted({p.layer for p in players if p.layer is not None})
    grid = np.full((len(layers), len(columns)), np.nan)
    place = {}
    for i, player in enumerate(players):
        row, column = layers.index(player.layer), columns.index(_column(player))  # type: ignore[arg-type]
        place[i] = (column, row)
        grid[row, column] = effects.values.get((i,), 0.0)
    figure = Figure(
        figsize=(2.2 + 0.72 * len(columns), 1.6 + 0.72 * len(layers)), layout="constrained"
    )
    axes = figure.subplots()
    span = float(np.nanmax(np.abs(grid))) or 1.0
    image = axes.imshow(grid, cmap=_MAP, norm=TwoSlopeNorm(0, -span, span), aspect="equal")
    for (row, column), effect in np.ndenumerate(grid):
        if np.isfinite(effect):
            color = "white" if abs(effect) > 0.6 * span else _INK
            axes.text(
                column, row + 0.32, f"{effect:+.2f}", ha="center", va="center", size=7, color=color
            )
    _arcs(axes, joint, place, pairs)
    axes.set_xticks(range(len(columns)), columns, size=9)
    axes.set_yticks(range(len(layers)), [f"layer {layer}" for layer in layers], size=9)
    axes.set_xlim(-0.55, len(columns) - 0.45)
    axes.set_ylim(-0.75, len(layers) - 0.45)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label(f"average effect ({effects.index} value)", size=9)
    bar.ax.tick_params(labelsize=8)
    drawn = min(pairs, sum(len(s) == 2 for s in joint.values))
    axes.set_title(
        f"Average effect of each part, and the {drawn} strongest pairs ({joint.index})\n"
        "blue: helps, or worth more together · red: hurts, or partly redundant",
        size=10,
        loc="left",
        color=_INK,
    )
    return figure


def top_interactions(found: Interactions, players: PlayerSet, *, k: int = 20) -> Figure:
    """The ``k`` strongest interactions of two or more players as bars.

    Args:
        found: interactions.
        players: their players, for the names.
        k: how many.
    """
    joint = found.joint(k)[::-1]
    figure = Figure(figsize=(7, 1.2 + 0.26 * max(1, len(joint))), layout="constrained")
    axes = figure.subplots()
    values = [v for _, v in joint]
    axes.barh(range(len(joint)), values, color=[_HELPS if v > 0 else _HURTS for v in values])
    axes.set_yticks(range(len(joint)), [players.label(s) for s, _ in joint], size=9)
    axes.axvline(0, color=_INK, linewidth=0.8)
    axes.set_xlabel(
        f"{found.index} (order ≤ {found.order}); blue: synergy, red: redundancy", size=9
    )
    _plain(axes)
    axes.grid(axis="x", alpha=0.25)
    if not joint:
        axes.text(
            0.5, 0.5, "no interaction of two or more players", ha="center", transform=axes.transAxes
        )
    return figure


def pruning_curve(
    curves: Mapping[str, Mapping[int, Estimate]],
    *,
    full: Estimate,
    n: int,
    label: str,
    chance: float | None = None,
) -> Figure:
    """A metric against the number of players kept, one line with intervals for each method.

    Args:
        curves: method name to {players kept: estimate}; the first method is drawn on top.
        full: the full model's estimate.
        n: number of players.
        label: name of the metric.
        chance: the metric of guessing, if known.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.axhline(
        full.mean, color=_INK, linewidth=1, linestyle="--", label=f"full model ({n} players)"
    )
    if chance is not None:
        axes.axhline(chance, color=_INK, linewidth=1, linestyle=":", label="chance")
    for order, (method, points) in enumerate(curves.items()):
        sizes = sorted(points)
        means = np.array([points[k].mean for k in sizes])
        below = means - [points[k].low for k in sizes]
        above = [points[k].high for k in sizes] - means
        shift = (order - (len(curves) - 1) / 2) * 0.01 * n
        axes.errorbar(
            np.array(sizes) + shift,
            means,
            yerr=[below, above],
            marker="o",
            markersize=5,
            capsize=3,
            linewidth=1.6,
            color=_LINES[order % len(_LINES)],
            label=method,
            zorder=10 - order,
        )
    axes.set_xticks(sorted({k for points in curves.values() for k in points}))
    axes.invert_xaxis()
    axes.set_xlabel("players kept", size=9)
    axes.set_ylabel(f"{label} on test questions (95 % interval)", size=9)
    axes.legend(frameon=False, fontsize=9)
    axes.grid(axis="y", alpha=0.25)
    _plain(axes)
    return figure


def fidelity(
    predicted: Float64[np.ndarray, " m"], measured: Float64[np.ndarray, " m"], *, r2: float
) -> Figure:
    """Surrogate against true ablation on held-out masks.

    Args:
        predicted: float64 (m,), the surrogate's values.
        measured: float64 (m,), the game's values.
        r2: the R² to print.
    """
    figure = Figure(figsize=(4.2, 4), layout="constrained")
    axes = figure.subplots()
    low, high = min(predicted.min(), measured.min()), max(predicted.max(), measured.max())
    axes.plot([low, high], [low, high], color=_INK, linewidth=0.8)
    axes.scatter(predicted, measured, s=14, color=_HELPS, alpha=0.7, linewidth=0)
    axes.set_xlabel("predicted by the spectrum", size=9)
    axes.set_ylabel("measured by ablation", size=9)
    axes.set_title(
        f"{len(measured)} held-out masks, R² = {r2:.3f}", size=10, loc="left", color=_INK
    )
    axes.grid(alpha=0.25)
    _plain(axes)
    return figure


def _columns(players: PlayerSet) -> list[str]:
    if any(p.layer is None for p in players):
        raise InputError(
            "a head map needs parts of a model as players; plot top_interactions instead"
        )
    return list(dict.fromkeys(_column(p) for p in sorted(players, key=_column_key)))


def _column(player: Player) -> str:
    prefix = {"head": "head ", "kv": "group ", "mlp": "MLP", "layer": "whole"}[player.kind]
    return prefix + ("" if player.index is None else str(player.index))


def _column_key(player: Player) -> tuple[int, int]:
    return ["head", "kv", "mlp", "layer"].index(player.kind), player.index or 0


def _arcs(
    axes: Axes, found: Interactions, place: Mapping[int, tuple[int, int]], pairs: int
) -> None:
    strongest: Sequence = sorted(
        ((s, v) for s, v in found.values.items() if len(s) == 2), key=lambda item: -abs(item[1])
    )[:pairs]
    for (a, b), value in reversed(strongest):
        width = 0.8 + 3.2 * abs(value) / abs(strongest[0][1])
        axes.annotate(
            "",
            xy=place[b],
            xytext=place[a],
            arrowprops={
                "arrowstyle": "-",
                "color": _HELPS if value > 0 else _HURTS,
                "linewidth": width,
                "alpha": 0.75,
                "connectionstyle": "arc3,rad=0.22",
                "shrinkA": 2,
                "shrinkB": 2,
            },
        )
    ends = [place[i] for s, _ in strongest for i in s]
    if ends:
        axes.scatter(*zip(*ends, strict=True), s=16, color=_INK, zorder=5)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
