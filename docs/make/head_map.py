"""Draw the README's figure from a finished demo: ``python docs/make/head_map.py runs/demo``.

Every head is a dot whose area is its average effect, and the strongest pairs are arcs. There is one figure
for light and one for dark pages: docs/images/heads-light.svg and docs/images/heads-dark.svg.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch

from spex_mech.core.interactions import interactions
from spex_mech.core.palette import FAINT, HELPS, HURTS, INK
from spex_mech.report.contents import Contents, read_contents
from spex_mech.run.opening import open_folder

IMAGES = Path(__file__).parents[1] / "images"
PAGES = {
    "light": {"page": "#ffffff", "ink": INK, "faint": FAINT, "helps": HELPS, "hurts": HURTS},
    "dark": {
        "page": "#0d1117",
        "ink": "#d6dae0",
        "faint": "#4a515b",
        "helps": "#5aa2cc",
        "hurts": "#e07a5f",
    },
}
PAIRS = 10
LARGEST_DOT = 900  # points squared


def drawn(contents: Contents, colors: dict[str, str]) -> Figure:
    """All heads of a run as dots, layer 0 at the bottom, and its strongest pairs as arcs."""
    if contents.spectrum is None or contents.interactions is None:
        raise SystemExit("the run has no spectrum; run `spex-mech run --out runs/demo` first")
    players = list(contents.players)
    effects = interactions(contents.spectrum, "Banzhaf", 1).values
    figure = Figure(figsize=(7.6, 4.3), facecolor=colors["page"], layout="constrained")
    axes = figure.subplots()
    largest = max(abs(value) for value in effects.values())
    for i, player in enumerate(players):
        value = effects.get((i,), 0.0)
        color = colors["helps" if value > 0 else "hurts"]
        axes.scatter(player.index, player.layer, s=14, color=colors["faint"], zorder=3)
        area = LARGEST_DOT * abs(value) / largest
        axes.scatter(player.index, player.layer, s=area, color=color, zorder=4)
    pairs = [item for item in contents.interactions.joint(200) if len(item[0]) == 2][:PAIRS]
    for (a, b), value in pairs:
        ends = [(players[i].index, players[i].layer) for i in (a, b)]
        color = colors["helps" if value > 0 else "hurts"]
        axes.add_patch(_arc(ends, value / abs(pairs[0][1]), color))
    _frame(axes, players, colors)
    return figure


def _arc(ends: list, strength: float, color: str) -> FancyArrowPatch:
    """An arc of two heads: in one row above it where the two are worth more together, else below it."""
    (x, row), (to_x, to_row) = ends
    bend = 0.6 / max(1, abs(to_x - x)) ** 0.5 if row == to_row else 0.15
    if row == to_row and (strength > 0) == (to_x > x):
        bend = -bend
    return FancyArrowPatch(
        *ends,
        connectionstyle=f"arc3,rad={bend:.3f}",
        arrowstyle="-",
        linewidth=1 + 4 * abs(strength),
        color=color,
        alpha=0.85,
        zorder=2,
    )


def _frame(axes, players, colors: dict[str, str]) -> None:
    """Names of layers and heads, and what dots and arcs mean."""
    layers, heads = (sorted({getattr(p, name) for p in players}) for name in ("layer", "index"))
    axes.set_xticks(heads, [f"head {h}" for h in heads], size=10, color=colors["ink"])
    axes.set_yticks(layers, [f"layer {y}" for y in layers], size=10, color=colors["ink"])
    axes.set_xlim(-0.5, len(heads) - 0.5)
    axes.set_ylim(-1.1, len(layers) - 0.45)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_facecolor(colors["page"])
    blue, red = colors["helps"], colors["hurts"]
    marks = [
        (Line2D([], [], marker="o", ls="", color=blue, markersize=11), "helps the model answer"),
        (Line2D([], [], marker="o", ls="", color=red, markersize=11), "hurts"),
        (Line2D([], [], color=blue, lw=4), "worth more together"),
        (Line2D([], [], color=red, lw=4), "can stand in for each other"),
    ]
    legend = axes.figure.legend(
        *zip(*marks, strict=True), loc="outside upper center", ncols=4, frameon=False
    )
    for words in legend.get_texts():
        words.set(color=colors["ink"], size=9.5)


def main() -> None:
    """Write both figures."""
    contents = read_contents(open_folder(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo")))
    matplotlib.rcParams["svg.hashsalt"] = "spex_mech"
    for name, colors in PAGES.items():
        drawn(contents, colors).savefig(IMAGES / f"heads-{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
