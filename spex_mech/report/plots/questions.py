"""Figure: what each part is worth to each question."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from spex_mech.core.palette import INK
from spex_mech.decoders.per_question import QuestionEffects
from spex_mech.report.plots.style import MAP, shown

_MOST_PARTS = 24
_NAMED = 40  # questions whose names are written


def question_map(found: QuestionEffects, parts: Sequence[str], ids: Sequence[str]) -> Figure:
    """A parts × questions map; similar questions stand together, and lines separate their groups.

    Args:
        found: effects (n, e) of the parts on the questions.
        parts: names of the n parts; the 24 whose effects differ most between questions are drawn.
        ids: names of the e questions.
    """
    spread = found.effects.std(axis=1)
    rows = np.sort(np.argsort(-spread, kind="stable")[:_MOST_PARTS])
    grid = found.effects[rows][:, found.order]
    wide = float(np.clip(2.2 + 0.16 * len(ids), 5.0, 11.0))
    figure = Figure(figsize=(wide, 1.6 + 0.24 * len(rows)), layout="constrained")
    axes = figure.subplots()
    span = float(np.quantile(np.abs(grid), 0.99)) or 1.0
    image = axes.imshow(grid, cmap=MAP, norm=TwoSlopeNorm(0, -span, span), aspect="auto")
    axes.set_yticks(range(len(rows)), [shown(parts[int(i)]) for i in rows], size=8)
    if len(ids) <= _NAMED:
        names = [shown(ids[int(q)], 18) for q in found.order]
        axes.set_xticks(range(len(ids)), names, rotation=90, size=7)
    else:
        axes.set_xticks([])
        axes.set_xlabel(f"{len(ids)} questions", size=9)
    for edge in np.flatnonzero(np.diff(found.groups[found.order])):
        axes.axvline(edge + 0.5, color=INK, lw=1.2)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, extend="both")
    bar.set_label("mean change of a question's value\nwhen the part is present", size=8)
    bar.ax.tick_params(labelsize=8)
    count = int(found.groups.max()) + 1
    grouped = f"{count} groups of questions" if count > 1 else "questions form no clear groups"
    axes.set_title(
        f"Which parts serve which questions\n{grouped}\nblue: helps this question · red: hurts it",
        size=10,
        loc="left",
        color=INK,
    )
    return figure
