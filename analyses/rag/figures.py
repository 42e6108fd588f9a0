"""The table and the figure of the analysis of documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from table_rows import mean_text

Rows = Sequence[dict[str, str]]


def write(rows: Rows, folder: Path) -> str:
    """Write ``results.md`` and ``rag.png``, and give the table."""
    text = table(rows)
    (folder / "results.md").write_text(text, encoding="utf-8")
    figure(rows).savefig(folder / "rag.png", dpi=130)
    return text


def table(rows: Rows) -> str:
    """Of the questions that were measured: how often the needed pair is first, or among three."""
    text = "| model | players | documents | questions | right | pairs | measured | needed pair first | "
    text += (
        "among three | chance | the two single effects first | median R² |\n" + "|---" * 12 + "|\n"
    )
    for key in groups(rows):
        some = of(rows, key)
        known = [r for r in some if r["rank"]]
        pairs = int(some[0]["pairs"])
        right = sum(float(r["whole"]) > 0 for r in some)
        cells = [f"{len(some)}", f"{right}", f"{pairs:,}", f"{len(known)}"]
        cells += [mean_text([int(r["rank"]) < k for r in known]) for k in (1, 3)]
        cells += [
            f"{1 / pairs:.4f}, {3 / pairs:.4f}",
            mean_text([int(r["singles among two"]) == 2 for r in known]),
        ]
        cells.append(f"{np.median([float(r['R2']) for r in known]):.2f}" if known else "")
        text += f"| {key[0]} | {key[1]}s | {key[2]} | " + " | ".join(cells) + " |\n"
    return text


def groups(rows: Rows) -> list[tuple[str, str, str]]:
    """Model, kind of player and number of documents."""
    return list(dict.fromkeys((r["model"], r["level"], r["documents"]) for r in rows))


def of(rows: Rows, key: tuple[str, str, str]) -> list[dict[str, str]]:
    """The rows of a group."""
    return [r for r in rows if (r["model"], r["level"], r["documents"]) == key]


def figure(rows: Rows) -> Figure:
    """Share of questions whose needed pair is first, and among three, against the number of documents."""
    drawn = Figure(figsize=(9, 3.4), layout="constrained")
    panels = drawn.subplots(1, 2, sharey=True)
    for axes, most, title in zip(
        panels, (1, 3), ("The strongest synergy", "Among the three strongest"), strict=True
    ):
        _panel(axes, rows, most)
        axes.set_title(title, size=10, loc="left")
    panels[0].set_ylabel("share of questions whose needed pair is that", size=9)
    handles, labels = panels[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside right center", frameon=False, fontsize=8)
    return drawn


def _panel(axes: Axes, rows: Rows, most: int) -> None:
    """A line for each reader and kind of player, and what chance would give for each kind."""
    for number, (model, level) in enumerate(dict.fromkeys((r["model"], r["level"]) for r in rows)):
        colour, shift = f"C{number}", 1 + 0.08 * number
        found = []
        for key in (k for k in groups(rows) if k[:2] == (model, level)):
            hits = [int(r["rank"]) < most for r in of(rows, key) if r["rank"]]
            if hits:
                found.append((int(key[2]) * shift, np.mean(hits), f"{sum(hits)} of {len(hits)}"))
        counts, shares, texts = zip(*found, strict=True) if found else ((), (), ())
        axes.plot(counts, shares, "o", ms=4, color=colour, label=f"{level}s, {model}")
        axes.plot(counts, shares, "-", lw=0.8, color=colour, alpha=0.4)
        for count, share, text in zip(counts, shares, texts, strict=True):
            axes.annotate(
                text, (count, share), xytext=(0, (-13, 6, 15)[number % 3]), ha="center", color=colour,
                textcoords="offset points", size=7,
            )  # fmt: skip
    for level, style in (("document", ":"), ("sentence", "-.")):
        pairs = {int(r["documents"]): int(r["pairs"]) for r in rows if r["level"] == level}
        if pairs:
            known = sorted(pairs)
            chance = [most / pairs[k] for k in known]
            axes.plot(known, chance, style, color="#888", label=f"{level}s, chance")
    axes.set_xscale("log", base=2)
    ticks = sorted({int(r["documents"]) for r in rows})
    axes.set_xticks(ticks, [str(t) for t in ticks], size=8)
    axes.set_ylim(-0.1, 1.18)
    axes.set_xlabel("documents", size=9)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
