"""The table and the figure of the analysis of depth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import t

Rows = Sequence[dict[str, str]]


def write(rows: Rows, results: Path) -> str:
    """Write a table and a figure for each model beside the results, and give the table."""
    text = ""
    for model in dict.fromkeys(r["model"] for r in rows):
        some = [r for r in rows if r["model"] == model]
        text += table(model, some)
        figure(some).savefig(
            results.with_name(f"{results.stem}_{model.split('/')[-1]}.png"), dpi=130
        )
    results.with_suffix(".md").write_text(text, encoding="utf-8")
    return text


def mean_and_half(values: Sequence[float]) -> tuple[float, float]:
    """The mean over splits, and half of its 95 % interval by Student's t; NaN of a single split."""
    x = np.array([v for v in values if np.isfinite(v)])
    if len(x) < 2:
        return (float(x.mean()) if len(x) else float("nan")), float("nan")
    half = t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))
    return float(x.mean()), float(half)


def column(rows: Rows, name: str) -> list[float]:
    """A column as numbers; what is missing is NaN."""
    return [float(r[name]) if r[name] else float("nan") for r in rows]


def shown(values: Sequence[float]) -> str:
    """The mean, with its interval where there are several splits."""
    mean, half = mean_and_half(values)
    return f"{mean:.3f}" if np.isnan(half) else f"{mean:.3f} ± {half:.3f}"


def table(model: str, rows: Rows) -> str:
    """Means over splits with their intervals."""
    text = (
        f"### {model}\n\n| task | layers | splits | whole model | order 1 | order 2 | order 3+ | "
    )
    text += "within a layer (chance) | R², held out | of its single heads alone |\n"
    text += "|---" * 10 + "|\n"
    for task, group in dict.fromkeys((r["task"], r["group"]) for r in rows):
        some = of(rows, task, group)
        cells = [
            shown(column(some, name))
            for name in ("order 1", "order 2", "order 3+", "within", "R2 all", "R2 single")
        ]
        cells[3] += f" ({np.nanmean(column(some, 'chance')):.3f})"
        full = f"{np.mean(column(some, 'full')):.2f}"
        text += f"| {task} | {group} | {len(some)} | {full} | " + " | ".join(cells) + " |\n"
    return text + "\n" + differences(rows)


def differences(rows: Rows) -> str:
    """Each group of layers minus the last one: means over tasks, with intervals over splits that all have."""
    tasks, groups, splits = (
        list(dict.fromkeys(r[k] for r in rows)) for k in ("task", "group", "split")
    )
    cells = {(r["task"], r["group"], r["split"]): r for r in rows}
    splits = [s for s in splits if all((t, g, s) in cells for t in tasks for g in groups)]
    last = groups.pop()
    if not (groups and splits):
        return ""
    text = (
        f"| minus the {last} layers | splits | energy in interactions | 1 − R² of single heads | "
    )
    text += "higher there: energy | 1 − R² |\n" + "|---" * 6 + "|\n"
    for group in groups:
        means, counts = [], []
        for name in ("order 1", "R2 single"):
            here, there = (
                np.array([column([cells[t, g, s] for s in splits], name) for t in tasks])
                for g in (group, last)
            )
            more = there - here
            means.append(shown(np.nanmean(more, axis=0).tolist()))
            counts.append(f"{(more > 0).sum()} of {np.isfinite(more).sum()}")
        text += f"| {group} | {len(splits)} | " + " | ".join([*means, *counts]) + " |\n"
    return text + "\n"


def of(rows: Rows, task: str, group: str) -> list[dict[str, str]]:
    """The rows of a task and a group of layers."""
    return [r for r in rows if (r["task"], r["group"]) == (task, group)]


def figure(rows: Rows) -> Figure:
    """What is found in interactions, what single heads leave over, and what lies within a layer."""
    drawn = Figure(figsize=(11.5, 3.6), layout="constrained")
    panels = drawn.subplots(1, 3)
    more = [
        {**r, "joint": str(1 - alone), "left": str(1 - r2)}
        for r, alone, r2 in zip(
            rows, column(rows, "order 1"), column(rows, "R2 single"), strict=True
        )
    ]
    titles = (
        ("joint", "Found in interactions", "share of the spectrum's energy\nin interactions"),
        ("left", "Left over by single heads", "1 − R² of the single heads\non held-out masks"),
        (
            "within",
            "Within their layer",
            "share of the interactions' energy\nbetween heads of one layer",
        ),
    )
    for axes, (name, title, label) in zip(panels, titles, strict=True):
        _panel(axes, more, name)
        axes.set_title(title, size=10, loc="left")
        axes.set_ylabel(label, size=9)
    chance = float(np.nanmean(column(rows, "chance")))
    panels[2].axhline(chance, color="#222", lw=1, ls="--")
    right = panels[2].get_xlim()[1]
    panels[2].text(right, chance, "chance ", size=8, ha="right", va="bottom", color="#222")
    handles, labels = panels[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=7, frameon=False, fontsize=9)
    return drawn


def _panel(axes: Axes, rows: Rows, name: str) -> None:
    """Means over splits by group of layers, a line for each task."""
    groups = list(dict.fromkeys(r["group"] for r in rows))
    tasks = list(dict.fromkeys(r["task"] for r in rows))
    for number, task in enumerate(tasks):
        found = [mean_and_half(column(of(rows, task, g), name)) for g in groups]
        at = np.arange(len(groups)) + 0.09 * (number - (len(tasks) - 1) / 2)
        means, halves = np.array(found).T
        halves = np.nan_to_num(halves)
        axes.errorbar(at, means, halves, marker="o", ms=4, capsize=2, lw=1.2, label=task)
    axes.set_xticks(range(len(groups)), groups, size=9)
    axes.set_xlabel("layers", size=9)
    axes.set_ylim(-0.02, 1.02)
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
