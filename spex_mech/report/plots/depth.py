"""Figure: the energy of a spectrum by number of players and by pairs of layers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spex_mech.core.energy import LayerEnergy
from spex_mech.core.palette import HELPS, INK
from spex_mech.report.plots.style import plain

_MOST_ORDERS = 6
_FEW = 12  # layers whose shares are all written


def energy_map(orders: Mapping[int, float], layers: LayerEnergy | None) -> Figure:
    """Bars of the energy by number of players, and where layers are known a map of their pairs.

    Args:
        orders: number of players to share of the energy.
        layers: the interactions' energy by pairs of layers; None draws the bars alone.
    """
    if layers is None:
        figure = Figure(figsize=(4.4, 3.4), layout="constrained")
        _bars(figure.subplots(), orders)
        return figure
    figure = Figure(figsize=(9.4, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
    _bars(left, orders)
    _map(figure, right, layers)
    return figure


def _bars(axes: Axes, orders: Mapping[int, float]) -> None:
    """One bar for each number of players; the largest numbers share the last bar."""
    shares = [orders.get(k, 0.0) for k in range(1, min(_MOST_ORDERS, max(orders)) + 1)]
    names = [str(k) for k in range(1, len(shares) + 1)]
    if max(orders) > _MOST_ORDERS:
        shares[-1] += sum(v for k, v in orders.items() if k > _MOST_ORDERS)
        names[-1] += "+"
    axes.bar(names, shares, color=HELPS, width=0.65)
    for at, share in enumerate(shares):
        axes.text(at, share + 0.015, f"{share:.1%}", ha="center", size=8, color=INK)
    axes.set_ylim(0, 1.08)
    axes.set_xlabel("players that act together", size=9)
    axes.set_ylabel("share of the energy", size=9)
    axes.set_title("How many players act together", size=10, loc="left", color=INK)
    plain(axes)


def _map(figure: Figure, axes: Axes, layers: LayerEnergy) -> None:
    """Energy of each pair of layers as a multiple of what random pairs of players would have."""
    known = layers.chance > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        times = np.where(known, layers.shares / layers.chance, np.nan)
    most = max(2.0, min(float(np.nanmax(times)), 8.0))
    image = axes.imshow(times, cmap="Blues", vmin=0, vmax=most, origin="lower")
    count = len(layers.layers)
    if count <= _FEW:
        for (a, b), value in np.ndenumerate(times):
            if np.isfinite(value):
                colour = "white" if value > 0.6 * most else INK
                axes.text(b, a, f"{value:.1f}", ha="center", va="center", size=8, color=colour)
    step = -(-count // _FEW)
    ticks = range(0, count, step)
    axes.set_xticks(ticks, [str(layers.layers[i]) for i in ticks], size=8)
    axes.set_yticks(ticks, [str(layers.layers[i]) for i in ticks], size=8)
    axes.set_xlabel("layer", size=9)
    axes.set_ylabel("layer", size=9)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.85, extend="max")
    bar.set_label("interactions' energy, times chance", size=9)
    bar.ax.tick_params(labelsize=8)
    inside = f"within a layer: {layers.within:.0%} (chance {layers.within_by_chance:.0%})"
    axes.set_title(
        f"Which layers act together\n{inside}",
        size=10,
        loc="left",
        color=INK,
    )
