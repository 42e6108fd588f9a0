"""The strongest interactions, and how well the surrogate predicts held-out masks."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from matplotlib.figure import Figure

from spex_mech.core.estimates import Estimate
from spex_mech.core.interactions import Interactions
from spex_mech.core.palette import HELPS, INK
from spex_mech.core.players import PlayerSet
from spex_mech.report.plots.style import plain, shown, sign_color


def top_interactions(interactions: Interactions, players: PlayerSet, *, k: int = 20) -> Figure:
    """The ``k`` strongest interactions of two or more players as bars, ± a standard deviation if known.

    Args:
        interactions: the interactions.
        players: the players, for their names.
        k: number of bars.
    """
    joint = interactions.joint(k)[::-1]
    figure = Figure(figsize=(7, 1.2 + 0.26 * max(1, len(joint))), layout="constrained")
    axes = figure.subplots()
    values = [v for _, v in joint]
    axes.barh(range(len(joint)), values, color=[sign_color(v) for v in values])
    std = interactions.std
    if std is not None:
        spread = [std[s] for s, _ in joint]
        axes.errorbar(
            values,
            range(len(joint)),
            xerr=spread,
            fmt="none",
            ecolor=INK,
            elinewidth=0.9,
            capsize=2,
        )
    labels = [" × ".join(shown(players.names[i]) for i in s) for s, _ in joint]
    axes.set_yticks(range(len(joint)), labels, size=9)
    axes.set_ylim(-0.7, max(1, len(joint)) - 0.3)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlabel(
        f"{interactions.index} (order ≤ {interactions.order}); blue: synergy, red: redundancy"
        + ("" if std is None else "\nwhiskers: ± one standard deviation"),
        size=9,
    )
    plain(axes)
    axes.grid(axis="x", alpha=0.25)
    if not joint:
        axes.text(
            0.5, 0.5, "no interaction of two or more players", ha="center", transform=axes.transAxes
        )
    return figure


def fidelity(
    predicted: Float64[np.ndarray, " m"], measured: Float64[np.ndarray, " m"], *, r2: Estimate
) -> Figure:
    """Surrogate against true ablation on held-out masks.

    Args:
        predicted: float64 (m,), the surrogate's values.
        measured: float64 (m,), the game's values.
        r2: the R² to print, with its interval.
    """
    figure = Figure(figsize=(4.2, 4), layout="constrained")
    axes = figure.subplots()
    low, high = min(predicted.min(), measured.min()), max(predicted.max(), measured.max())
    axes.plot([low, high], [low, high], color=INK, linewidth=0.8)
    axes.scatter(predicted, measured, s=14, color=HELPS, alpha=0.7, linewidth=0)
    axes.set_xlabel("predicted by the spectrum", size=9)
    axes.set_ylabel("measured by ablation", size=9)
    axes.set_title(
        f"{len(measured)} held-out masks, R² = {r2.mean:.3f} [{r2.low:.3f}, {r2.high:.3f}]",
        size=10,
        loc="left",
        color=INK,
    )
    axes.grid(alpha=0.25)
    plain(axes)
    return figure
