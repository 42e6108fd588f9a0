"""The table and the figure of the analysis of hierarchy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from table_rows import mean_text

Rows = Sequence[dict[str, str]]
LINES = (("direct", "#1f6f9c", "the game"), ("popular", "#c98a1b", "random sets of popular players"),
         ("chance", "#888888", "random sets"))  # fmt: skip
PAPER = 0.8
TITLES = {
    "datasetvaluation": "valuation of data sets",
    "datavaluation": "valuation of data",
    "featureselection": "feature selection",
    "localexplanation": "local explanation",
    "imageclassifier": "image classifiers",
    "sentimentanalysis": "sentiment",
    "heads": "heads of one layer",
    "planted": "planted: with and without subsets",
}


def write(rows: Rows, folder: Path) -> str:
    """Write ``results.md`` and ``hierarchy.png``, and give the text."""
    tables = [r for r in rows if r["kind"] not in ("heads", "planted")]
    real = [{**r, "kind": "all value tables"} for r in tables]
    text = table([*rows, *real]) + decoded([*rows, *real])
    (folder / "results.md").write_text(text, encoding="utf-8")
    figure(rows).savefig(folder / "hierarchy.png", dpi=130)
    return text


def select(rows: Rows, source: str, terms: str, kind: str | None = None) -> list[dict[str, str]]:
    """Rows of a source and number of terms, of one kind of game or of all."""
    return [
        r
        for r in rows
        if r["source"] == source and r["terms"] == terms and kind in (None, r["kind"])
    ]


def mean(rows: Rows, name: str) -> str:
    """Mean over games, with a bootstrap interval where there are several."""
    return mean_text([float(r[name]) for r in rows])


def table(rows: Rows) -> str:
    """The exact spectra, by kind of game."""
    text = "### Exact spectra\n\n| kind | games | terms | interactions | direct subsets | popular players | "
    text += "random sets | staircase |\n" + "|---" * 8 + "|\n"
    for kind in dict.fromkeys(r["kind"] for r in rows):
        for terms in sorted({r["terms"] for r in rows}, key=int):
            some = select(rows, "exact", terms, kind)
            if some:
                joint = np.mean([float(r["interactions"]) for r in some])
                cells = [mean(some, name) for name in ("direct", "popular", "chance", "staircase")]
                text += (
                    f"| {kind} | {len(some)} | {terms} | {joint:.0f} | "
                    + " | ".join(cells)
                    + " |\n"
                )
    return text + "\n"


def decoded(rows: Rows) -> str:
    """What decoders say of the same games, with the exact share beside it."""
    text = (
        "### What decoders find\n\n| decoded by | kind | terms | games | direct subsets | exact |\n"
    )
    text += "|---" * 6 + "|\n"
    for source in dict.fromkeys(r["source"] for r in rows if r["source"] != "exact"):
        for kind in dict.fromkeys(r["kind"] for r in rows):
            for terms in ("20", "50"):
                some, truth = select(rows, source, terms, kind), select(rows, "exact", terms, kind)
                if some and truth:
                    cells = f"{mean(some, 'direct')} | {mean(truth, 'direct')}"
                    text += f"| {source} | {kind} | {terms} | {len(some)} | {cells} |\n"
    return text


def figure(rows: Rows) -> Figure:
    """Share of direct subsets against the number of terms, a panel for each kind of game."""
    kinds = list(dict.fromkeys(r["kind"] for r in rows if r["source"] == "exact"))
    columns = min(4, len(kinds))
    lines = -(-len(kinds) // columns)
    drawn = Figure(figsize=(2.6 * columns, 2.5 * lines + 0.5), layout="constrained")
    panels = drawn.subplots(lines, columns, squeeze=False, sharey=True)
    for axes in panels.flat[len(kinds) :]:
        axes.set_visible(False)
    for axes, kind in zip(panels.flat, kinds, strict=False):
        some = [r for r in rows if r["kind"] == kind and r["source"] == "exact"]
        for name, colour, label in LINES:
            for game in dict.fromkeys(r["game"] for r in some):
                of_game = [r for r in some if r["game"] == game]
                x = [int(r["terms"]) for r in of_game]
                axes.plot(x, [float(r[name]) for r in of_game], color=colour, lw=0.7, alpha=0.35)
            x = sorted({int(r["terms"]) for r in some})
            y = [np.mean([float(r[name]) for r in some if int(r["terms"]) == t]) for t in x]
            axes.plot(x, y, color=colour, lw=2, marker="o", ms=3, label=label)
        axes.axhline(PAPER, color="#222", lw=0.8, ls="--")
        axes.set_xscale("log")
        axes.set_xticks([10, 20, 50, 100, 200], ["10", "20", "50", "100", "200"], size=8)
        axes.minorticks_off()
        axes.set_ylim(-0.03, 1.03)
        axes.set_title(TITLES.get(kind, kind), size=9, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        axes.grid(axis="y", alpha=0.3)
    for axes in panels[:, 0]:
        axes.set_ylabel("direct subsets\namong the largest terms", size=8)
    for axes in panels[-1]:
        axes.set_xlabel("largest terms", size=8)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return drawn
