"""Tables and figure of pruned heads on real questions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from spex_mech.core.significance import holm
from spex_mech.pruning.prune import OURS

Rows = Sequence[dict[str, str]]


def write(rows: Rows, heads: Rows, folder: Path) -> str:
    """Write ``results.md`` and ``pruned.png``, and give the tables."""
    text = "\n".join([_methods(rows), _against_full(rows), _heads(heads)])
    (folder / "results.md").write_text(text, encoding="utf-8")
    figure(rows).savefig(folder / "pruned.png", dpi=130)
    return text


def _methods(rows: Rows) -> str:
    lines = [
        "| task | heads | method | accuracy (ours minus it) | margin (ours minus it) |",
        "|---" * 5 + "|",
    ]
    for r in rows:
        cells = []
        for name in ("accuracy", "margin"):
            gain = r[f"{name}, ours minus it"]
            cells.append(f"{float(r[name]):.3f}" + f" ({gain})" * bool(gain))
        lines.append(f"| {r['task']} | {r['heads']} | {r['method']} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines) + "\n"


def _against_full(rows: Rows) -> str:
    ours = [r for r in rows if r["method"] == OURS]
    corrected = holm(np.array([float(r["p"]) for r in ours]))
    text = "| task | heads | full model | ours minus full: accuracy | margin "
    text += f"| right: only ours : only full | p | Holm over {len(ours)} |\n" + "|---" * 8 + "|\n"
    for r, p in zip(ours, corrected, strict=True):
        full = f"{float(r['full accuracy']):.3f}, margin {float(r['full margin']):.2f}"
        changes = f"{r['accuracy minus full']} | {r['margin minus full']}"
        counts = f"{r['only pruned right']} : {r['only full right']}"
        text += (
            f"| {r['task']} | {r['heads']} | {full} | {changes} | {counts} | {r['p']} | {p:.3g} |\n"
        )
    return text


def _heads(heads: Rows) -> str:
    text = "| task | head | the spectrum expects | margin without it, minus full | accuracy |\n"
    text += "|---" * 5 + "|\n"
    for r in heads:
        text += f"| {r['task']} | {r['head']} | {float(r['expected']):+.2f} | {r['change']} "
        text += f"| {float(r['right']):+.3f} |\n"
    return text


def figure(rows: Rows) -> Figure:
    """Test accuracy of every method at every size, a panel for each task, with the full model's."""
    tasks = list(dict.fromkeys(r["task"] for r in rows))
    drawn = Figure(figsize=(0.8 + 3.1 * len(tasks), 3.5), layout="constrained")
    panels = drawn.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    methods = list(dict.fromkeys(r["method"] for r in rows))
    for axes, task in zip(panels, tasks, strict=True):
        some = [r for r in rows if r["task"] == task]
        sizes = sorted({int(r["heads"]) for r in some}, reverse=True)
        for number, method in enumerate(methods):
            values = [
                float(r["accuracy"]) for size in sizes for r in some
                if r["method"] == method and int(r["heads"]) == size
            ]  # fmt: skip
            own = {"lw": 2.2, "zorder": 3} if method == OURS else {"lw": 1}
            axes.plot(
                range(len(sizes)), values, "-o", ms=4, color=f"C{number}", label=method, **own
            )
        axes.axhline(float(some[0]["full accuracy"]), color="0.4", ls="--", lw=1, label="all heads")
        axes.set_xticks(range(len(sizes)), [str(size) for size in sizes])
        axes.set_xlim(-0.3, len(sizes) - 0.7)
        axes.set_xlabel("heads kept")
        axes.set_title(task.replace("_", " "), size=8)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("accuracy on test questions")
    drawn.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside right center",
        fontsize=8,
        frameon=False,
    )
    return drawn
