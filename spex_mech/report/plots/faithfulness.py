"""Figure: faithfulness against the size of a circuit, of several methods."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from spex_mech.core.errors import InputError
from spex_mech.core.estimates import Estimate
from spex_mech.core.palette import INK, LINES
from spex_mech.pruning.circuit_curve import CircuitCurve
from spex_mech.report.plots.style import plain, shown

_NARROW = 0.05  # smallest share of an axis too short for powers of ten


def faithfulness_curves(curves: Mapping[str, CircuitCurve]) -> Figure:
    """Faithfulness f against the share of parts kept, and CPR and CMD with their intervals, of each method.

    Args:
        curves: method name to its curve, all of one metric; the first is drawn on top. A curve whose f is
            unknown is named in the legend and not drawn.

    Raises:
        InputError: no curves, or curves of different metrics.
    """
    metrics = sorted({curve.metric for curve in curves.values()})
    if len(metrics) != 1:
        raise InputError(
            f"the curves have metrics {metrics}, expected one or more curves of one metric"
        )
    figure = Figure(figsize=(9.5, 3.8), layout="constrained")
    axes, areas = figure.subplots(1, 2, width_ratios=[3, 2])
    for level, style in ((1.0, "--"), (0.0, ":")):
        axes.axhline(level, color=INK, linewidth=1, linestyle=style)
    for order, (method, curve) in enumerate(curves.items()):
        color = LINES[order % len(LINES)]
        if curve.faithfulness is None:
            axes.plot([], [], color=color, label=f"{shown(method)} (unknown)")
            continue
        x = np.array(curve.sizes)
        _line(axes, x, curve.faithfulness, color, shown(method), 10 - order)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(_percent)
    axes.xaxis.set_minor_formatter(NullFormatter())
    if min(size for curve in curves.values() for size in curve.sizes) > _NARROW:
        sizes = sorted({size for curve in curves.values() for size in curve.sizes})
        axes.set_xticks(sizes, [_percent(size) for size in sizes])
        axes.tick_params(axis="x", which="minor", length=0)
    axes.set_xlabel("share of parts kept", size=9)
    axes.set_ylabel(f"faithfulness by {metrics[0]} (95 % interval)", size=9)
    axes.legend(frameon=False, fontsize=8)
    axes.grid(axis="y", alpha=0.25)
    plain(axes)
    _areas(areas, curves)
    return figure


def _percent(share: float, place: int = 0) -> str:
    return f"{100 * share:.3g} %"


def _line(
    axes: Axes, x: np.ndarray, f: tuple[Estimate, ...], color: str, label: str, zorder: int
) -> None:
    means = [e.mean for e in f]
    axes.plot(
        x, means, marker="o", markersize=4, linewidth=1.5, color=color, label=label, zorder=zorder
    )
    axes.fill_between(
        x, [e.low for e in f], [e.high for e in f], color=color, alpha=0.12, linewidth=0
    )


def _areas(axes: Axes, curves: Mapping[str, CircuitCurve]) -> None:
    """CPR (filled) and CMD (open) of each method, one row each."""
    for row, curve in enumerate(curves.values()):
        color = LINES[row % len(LINES)]
        for shift, area, filled in ((-0.13, curve.cpr, True), (0.13, curve.cmd, False)):
            if area is None:
                continue
            axes.plot([area.low, area.high], [row + shift] * 2, color=color, linewidth=1.5)
            face = color if filled else "white"
            axes.plot(
                [area.mean], [row + shift], "o", color=color, markerfacecolor=face, markersize=6
            )
    axes.set_yticks(range(len(curves)), [shown(name, 24) for name in curves], size=8)
    axes.invert_yaxis()
    axes.axvline(1.0, color=INK, linewidth=1, linestyle="--")
    axes.axvline(0.0, color=INK, linewidth=1, linestyle=":")
    axes.set_xlabel("filled: CPR (higher is better) · open: CMD (0 is best)", size=8)
    axes.grid(axis="x", alpha=0.25)
    plain(axes)
