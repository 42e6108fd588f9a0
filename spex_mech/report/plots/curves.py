"""Values against the number of players kept: of pruned models, and of a pilot."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64
from matplotlib.figure import Figure

from spex_mech.core.estimates import Estimate
from spex_mech.core.palette import HELPS, INK, LINES
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


def pilot_values(
    present: Float64[np.ndarray, " m"],
    values: Float64[np.ndarray, " m"],
    keep_rate: tuple[float, float],
) -> Figure:
    """The values of a pilot's masks against the share of players that they keep.

    Args:
        present: float64 (m,), shares from 0 to 1.
        values: float64 (m,).
        keep_rate: the range from which masks draw their keep rates; it is shaded.
    """
    figure = Figure(figsize=(4.2, 3), layout="constrained")
    axes = figure.subplots()
    axes.axvspan(*keep_rate, color=HELPS, alpha=0.12, linewidth=0)
    axes.scatter(present, values, s=18, color=INK)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel("share of players present; shaded: keep rates of the design", size=9)
    axes.set_ylabel("value", size=9)
    plain(axes)
    axes.grid(alpha=0.25)
    return figure
