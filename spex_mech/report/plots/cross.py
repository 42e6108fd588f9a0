"""Figure: which players of one kind matter because of which players of another kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from spex_mech.core.errors import InputError
from spex_mech.core.palette import INK
from spex_mech.report.plots.style import MAP, shown

_MOST = 40  # columns that are drawn
_FEW = 300  # cells whose numbers are written


def cross_map(
    table: Float64[np.ndarray, "a b"],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    label: str = "interaction",
    title: str = "Which parts matter because of which",
) -> Figure:
    """A heat map of cross-kind interactions, such as those of words and heads.

    Args:
        table: float64 (a, b), such as `JointGame.cross_pairs` gives; positive = worth more together.
        rows: names of the a players of the first kind, all drawn in their order.
        columns: names of the b players of the second kind. Drawn, in their order, are those with an
            interaction other than 0, and of more than 40 those with the largest sums of absolute values.
        label: what the colours are.
        title: the figure's first line.

    Raises:
        InputError: names that do not fit the table, or a table without rows or columns.
    """
    values = np.asarray(table, dtype=np.float64)
    if values.shape != (len(rows), len(columns)) or not values.size:
        raise InputError(
            f"the table has shape {values.shape}, expected ({len(rows)}, {len(columns)}): a row for each "
            "player of the first kind, a column for each of the second, at least one each"
        )
    weight = np.abs(values).sum(axis=0)
    most = int(np.clip(np.count_nonzero(weight), 1, _MOST))
    chosen = np.sort(np.argsort(-weight, kind="stable")[:most])
    drawn = values[:, chosen]
    size = (2.8 + 0.3 * len(chosen), 1.7 + 0.3 * len(rows))
    figure = Figure(figsize=(max(size[0], 6.0), size[1]), layout="constrained")
    axes = figure.subplots()
    span = float(np.abs(drawn).max()) or 1.0
    image = axes.imshow(drawn, cmap=MAP, norm=TwoSlopeNorm(0, -span, span), aspect="auto")
    axes.set_yticks(range(len(rows)), [shown(name, 34) for name in rows], size=8)
    axes.set_xticks(
        range(len(chosen)), [shown(columns[int(i)], 16) for i in chosen], size=8, rotation=90
    )
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if drawn.size <= _FEW:
        for (row, at), value in np.ndenumerate(drawn):
            if abs(value) >= 0.25 * span:
                colour = "white" if abs(value) > 0.6 * span else INK
                axes.text(at, row, f"{value:+.1f}", ha="center", va="center", size=6, color=colour)
    bar = figure.colorbar(image, ax=axes, shrink=0.9)
    bar.set_label(label, size=8)
    bar.ax.tick_params(labelsize=8)
    few = f" ({len(chosen)} of {len(columns)} columns)" if len(chosen) < len(columns) else ""
    axes.set_title(
        f"{title}{few}\nblue: worth more together · red: one makes the other matter less",
        size=10,
        loc="left",
        color=INK,
    )
    return figure
