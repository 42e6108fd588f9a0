"""The table and the figure of the analysis of long texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

Rows = Sequence[dict[str, str]]
NAMES = {
    "auto": "auto",
    "proxyspex": "our ProxySPEX",
    "lasso": "LASSO",
    "lime": "LIME",
    "faith_banzhaf": "Faith-Banzhaf 2",
    "spex": "SPEX",
}


def write(rows: Rows, folder: Path) -> str:
    """Write ``results.md`` and ``long_text.png``, and give the table."""
    text = table(rows)
    (folder / "results.md").write_text(text, encoding="utf-8")
    figure(rows).savefig(folder / "long_text.png", dpi=130)
    return text


def table(rows: Rows) -> str:
    """Mean R² over the texts of a length, with the smallest and the largest."""
    text = "| model, texts | words | texts | masks | " + " | ".join(NAMES.values()) + " |\n"
    text += "|---" * (4 + len(NAMES)) + "|\n"
    for model, kind, n in dict.fromkeys((r["model"], r["kind"], r["n"]) for r in rows):
        some = [r for r in rows if (r["model"], r["kind"], r["n"]) == (model, kind, n)]
        cells = [n, str(len({r["seed"] for r in some})), some[0]["masks"]]
        for method in NAMES:
            found = [float(r["R2"]) for r in some if r["method"] == method]
            span = f" ({min(found):.2f} to {max(found):.2f})" if len(found) > 1 else ""
            cells.append(f"{np.mean(found):.2f}{span}" if found else "")
        text += f"| {model}, {kind} | " + " | ".join(cells) + " |\n"
    return text


def figure(rows: Rows) -> Figure:
    """R² against the number of words, a panel for each model and kind of text."""
    panels = list(dict.fromkeys((r["model"], r["kind"]) for r in rows))
    drawn = Figure(figsize=(1.6 + 3.2 * len(panels), 3.4), layout="constrained")
    for axes, panel in zip(
        drawn.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True
    ):
        for number, method in enumerate(NAMES):
            some = [r for r in rows if (r["model"], r["kind"]) == panel and r["method"] == method]
            sizes = sorted({int(r["n"]) for r in some})
            means = [np.mean([float(r["R2"]) for r in some if int(r["n"]) == n]) for n in sizes]
            axes.plot(
                sizes, np.maximum(means, 0.0), "-o", ms=4, color=f"C{number}", label=NAMES[method]
            )
        axes.set_xscale("log", base=2)
        ticks = sorted({int(r["n"]) for r in rows})
        axes.set_xticks(ticks, [str(t) for t in ticks])
        axes.set_title(", ".join(panel), size=10)
        axes.set_xlabel("words")
        axes.set_ylim(-0.03, 1.03)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    drawn.axes[0].set_ylabel("R² on held-out masks (below 0 shown as 0)")
    drawn.legend(
        *drawn.axes[0].get_legend_handles_labels(),
        loc="outside right center",
        fontsize=8,
        frameon=False,
    )
    return drawn
