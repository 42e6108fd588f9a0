"""A metric against the number of players kept."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from spex_mech.core.estimates import Estimate
from spex_mech.core.palette import INK, LINES
from spex_mech.report.plots.style import plain


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
        full.mean, color=INK, linewidth=1, linestyle="--", label=f"full model ({n} players)"
    )
    if chance is not None:
        axes.axhline(chance, color=INK, linewidth=1, linestyle=":", label="chance")
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
            color=LINES[order % len(LINES)],
            label=method,
            zorder=10 - order,
        )
    axes.set_xticks(sorted({k for points in curves.values() for k in points}))
    axes.invert_xaxis()
    axes.set_xlabel("players kept", size=9)
    axes.set_ylabel(f"{label} on test questions (95 % interval)", size=9)
    axes.legend(frameon=False, fontsize=9)
    axes.grid(axis="y", alpha=0.25)
    plain(axes)
    return figure
