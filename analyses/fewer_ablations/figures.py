"""The tables and the figure of the analysis of fewer ablations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from needed import needed

Rows = Sequence[dict[str, str]]
COLOURS = {"spex": "#b3432b", "proxyspex": "#c98a1b", "auto": "#1f6f9c"}
KINDS = ("real", "heads", "planted")
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9)


def write(rows: Rows, folder: Path) -> str:
    """Write ``results.md`` and ``masks.png``, and give the text."""
    text = fewer(rows) + by_level(rows)
    (folder / "results.md").write_text(text, encoding="utf-8")
    figure(rows).savefig(folder / "masks.png", dpi=130)
    return text


def groups(rows: Rows) -> list[tuple[str, str]]:
    """Kind and number of players, the complete games together; real ones first, larger ones last."""
    named = {(r["kind"], "14 to 16" if r["kind"] == "real" else r["n"]) for r in rows}
    return sorted(named, key=lambda group: (KINDS.index(group[0]), int(group[1].split()[0])))


def of(rows: Rows, group: tuple[str, str], method: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Masks and R² of a method, by game of a group."""
    found: dict[str, list[tuple[float, float]]] = {}
    for r in rows:
        if r["kind"] == group[0] and group[1] in ("14 to 16", r["n"]) and r["method"] == method:
            found.setdefault(r["game"], []).append((float(r["masks"]), float(r["r2"])))
    return {game: tuple(np.array(sorted(pairs)).T) for game, pairs in found.items()}


def fewer(rows: Rows) -> str:
    """For what SPEX has with each budget: by what factor the others need fewer masks."""
    text = "### Masks that SPEX needs over masks that others need for the same R²\n\n"
    text += "| game | players | SPEX's masks | its R² | over ProxySPEX's | over auto's | games |\n"
    text += "|---" * 7 + "|\n"
    for group in groups(rows):
        of_spex = of(rows, group, "spex")
        for place in range(max((len(m) for m, _ in of_spex.values()), default=0)):
            some = {g: (m[place], r[place]) for g, (m, r) in of_spex.items() if len(m) > place}
            some = {g: pair for g, pair in some.items() if pair[1] > 0}
            if not some:
                continue
            masks, r2 = np.array(list(some.values())).T
            cells = [_factor(some, of(rows, group, method)) for method in ("proxyspex", "auto")]
            text += f"| {group[0]} | {group[1]} | {np.median(masks):,.0f} | {np.median(r2):.2f} | "
            text += " | ".join(cells) + f" | {len(some)} |\n"
    return text + "\n"


def _factor(spex: dict[str, tuple[float, float]], others: dict) -> str:
    """The median over games; of a game whose other method is always above it is a lower bound."""
    ratios, bounds, missed = [], 0, 0
    for game, (masks, r2) in spex.items():
        if game not in others:
            continue
        count = needed(*others[game], r2)
        if np.isnan(count):
            missed += 1
        bounds += count == others[game][0].min()
        ratios.append(0.0 if np.isnan(count) else masks / count)
    if not ratios:
        return ""
    middle = float(np.median(ratios))
    mark = "≥ " if bounds > len(ratios) / 2 else ""
    note = f" (not reached in {missed}, which count as 0)" if missed else ""
    return (f"{mark}{middle:.1f}" if middle else "not reached") + note


def by_level(rows: Rows) -> str:
    """Median masks to fixed levels of R², of the games in which the method reaches it."""
    text = (
        "### Masks to a level of R²\n\n| game | players | R² | SPEX | ProxySPEX | auto |\n"
        + "|---" * 6
    )
    text += "|\n"
    for group in groups(rows):
        for level in LEVELS:
            cells = []
            for method in COLOURS:
                found = [needed(*pair, level) for pair in of(rows, group, method).values()]
                reached = [x for x in found if np.isfinite(x)]
                cells.append(
                    f"{np.median(reached):,.0f} ({len(reached)} of {len(found)})"
                    if reached
                    else "more"
                )
            if any(cell != "more" for cell in cells):
                text += f"| {group[0]} | {group[1]} | {level} | " + " | ".join(cells) + " |\n"
    return text


def figure(rows: Rows) -> Figure:
    """R² against masks, a panel for each group of games; thin lines are single games."""
    panels_of = groups(rows)
    drawn = Figure(figsize=(2.7 * len(panels_of), 3.2), layout="constrained")
    panels = drawn.subplots(1, len(panels_of), squeeze=False, sharey=True)[0]
    names = {"spex": "SPEX", "proxyspex": "ProxySPEX", "auto": "auto"}
    for axes, group in zip(panels, panels_of, strict=True):
        for method, colour in COLOURS.items():
            curves = of(rows, group, method)
            for masks, r2 in curves.values():
                axes.plot(masks, np.maximum(r2, 0), color=colour, lw=0.6, alpha=0.35)
            grid = sorted({m for masks, _ in curves.values() for m in masks})
            level = [
                np.mean(
                    [np.interp(np.log(m), np.log(x), np.maximum(y, 0)) for x, y in curves.values()]
                )
                for m in grid
            ]
            axes.plot(grid, level, color=colour, lw=2, label=names[method])
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(0, 1.02)
        axes.set_title(f"{group[0]}, {group[1]} players", size=9, loc="left")
        axes.set_xlabel("masks", size=9)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    panels[0].set_ylabel("R² on held-out masks", size=9)
    handles, labels = panels[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return drawn
