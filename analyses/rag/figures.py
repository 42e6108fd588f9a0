"""The table and the figure of the analysis of documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
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
        cells += [f"{1 / pairs:.4f}", mean_text([int(r["singles among two"]) == 2 for r in known])]
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
    """Share of questions whose needed pair is first, against the number of documents."""
    drawn = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = drawn.subplots()
    for number, (model, level) in enumerate(dict.fromkeys((r["model"], r["level"]) for r in rows)):
        keys = [k for k in groups(rows) if k[:2] == (model, level)]
        colour, shift = f"C{number}", 1 + 0.04 * number
        counts = [int(k[2]) * shift for k in keys]
        chance = [1 / int(of(rows, k)[0]["pairs"]) for k in keys]
        axes.plot(counts, chance, ":", color=colour, label=f"{level}s, chance")
        shown = []
        for count, key in zip(counts, keys, strict=True):
            firsts = np.array(
                [int(r["rank"]) == 0 for r in of(rows, key) if r["rank"]], dtype=float
            )
            if len(firsts):
                shown.append((count, firsts.mean()))
                axes.annotate(
                    f"{int(firsts.sum())} of {len(firsts)}",
                    shown[-1],
                    xytext=(4, 5),
                    textcoords="offset points",
                    size=7,
                    color=colour,
                )
        if shown:
            label = f"{level}s, {model}"
            axes.plot(*zip(*shown, strict=True), "-o", ms=4, color=colour, label=label)
    axes.set_xscale("log", base=2)
    ticks = sorted({int(r["documents"]) for r in rows})
    axes.set_xticks(ticks, [str(t) for t in ticks], size=8)
    axes.set_ylim(-0.03, 1.1)
    axes.set_xlabel("documents", size=9)
    axes.set_ylabel("needed pair is the strongest synergy", size=9)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, frameon=False)
    return drawn
