"""Faithfulness curves, CPR and CMD from results.jsonl: a table and a figure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from spex_mech.core.palette import INK, LINES
from spex_mech.pruning.circuit_curve import SIZES, areas

ENDS = "whole and empty model"
SMALLEST = 0.02  # MIB's smaller circuits are taken as empty, for every method alike
METHODS = (
    "ours", "ours, matched", "NAP-IG", "NAP-IG, absolute", "AtP", "AtP, absolute", "knock-out",
    "greedy removal", "surrogate search", "LASSO", "stratified knock-outs",
)  # fmt: skip
TITLES = {"ioi": "IOI", "greater_than": "greater-than"}
_DRAWS = 2_000
Lines = list[dict[str, Any]]


def read(path: Path) -> Lines:
    """The lines that were measured; none if the file is not there."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def keeps(n: int) -> tuple[int, ...]:
    """Numbers of players of the circuits that are measured, rising, the whole model left out."""
    return tuple(int(size * n + 1e-9) for size in SIZES if SMALLEST <= size < 1)


def faithfulness(line: dict[str, Any], ends: dict[str, Any], questions: np.ndarray) -> np.ndarray:
    """Faithfulness at MIB's ten sizes, (..., 10), of the means over some questions (..., q) of one split."""
    full, empty = np.array(ends["margins"])[:, questions].mean(axis=-1)
    means = np.array(line["margins"])[:, questions].mean(axis=-1)
    f = (means - empty) / (full - empty)
    none = np.zeros((sum(size < SMALLEST for size in SIZES), *f.shape[1:]))
    return np.moveaxis(np.concatenate([none, f, np.ones((1, *f.shape[1:]))]), 0, -1)


def drawn(lines: Lines, task: str, method: str) -> np.ndarray | None:
    """Faithfulness, (1 + draws, 10): first as measured, then of splits and their questions drawn anew.

    Every method has the same draws, so that differences of draws are paired. None where not measured.
    """
    splits = {x["split"]: x for x in lines if (x["task"], x["method"]) == (task, method)}
    if not splits:
        return None
    ends = {x["split"]: x for x in lines if (x["task"], x["method"]) == (task, ENDS)}
    each, order = [], sorted(splits)
    for split in order:
        count = len(ends[split]["margins"][0])
        rng = np.random.default_rng(split)
        some = rng.integers(0, count, (_DRAWS, count))
        every = np.concatenate([np.arange(count)[None], some])
        each.append(faithfulness(splits[split], ends[split], every))
    chosen = np.random.default_rng(0).integers(0, len(order), (_DRAWS, len(order)))
    chosen = np.concatenate([np.arange(len(order))[None], chosen])
    stacked = np.stack(each)
    return stacked[chosen, np.arange(_DRAWS + 1)[:, None]].mean(axis=1)


def table(lines: Lines) -> str:
    """CPR and CMD of every method, and ours minus it on the same questions and splits."""
    text = ""
    for task in dict.fromkeys(x["task"] for x in lines):
        splits = {x["split"] for x in lines if x["task"] == task}
        every = {m: f for m in METHODS if (f := drawn(lines, task, m)) is not None}
        text += f"### {task}, {len(splits)} split{'s' if len(splits) > 1 else ''}\n\n"
        text += (
            "| method | splits | rows | CPR | ours better by | CMD | part of it that ours has |\n"
        )
        text += "|---|---|---|---|---|---|---|\n"
        sizes = np.array(SIZES)
        for method, f in every.items():
            same = [x for x in lines if (x["task"], x["method"]) == (task, method)]
            few = [
                x for x in lines if x["task"] == task and x["split"] in {y["split"] for y in same}
            ]
            cpr, cmd = areas(f, sizes)
            ours, matched = (drawn(few, task, name) for name in METHODS[:2])
            if ours is None or matched is None:
                continue
            gain = areas(ours, sizes)[0] - cpr
            part = areas(matched, sizes)[1] / cmd
            cells = [interval(cpr), "" if method == METHODS[0] else interval(gain, sign=True)]
            cells += [interval(cmd), "" if method == METHODS[1] else interval(part)]
            rows = max(x["rows"] for x in same)
            text += f"| {method} | {len(same)} | {rows} | " + " | ".join(cells) + " |\n"
        text += "\n"
    return text


def interval(values: np.ndarray, sign: bool = False) -> str:
    """The first value, with the 95 % interval of the others."""
    low, high = np.quantile(values[1:], [0.025, 0.975])
    plus = "+" if sign else ""
    return f"{values[0]:{plus}.2f} [{low:{plus}.2f}, {high:{plus}.2f}]"


def figure(lines: Lines) -> Figure:
    """Faithfulness against the size of the circuit, a panel for each task."""
    names: Sequence[str] = list(dict.fromkeys(x["task"] for x in lines))
    shown = Figure(figsize=(2.6 + 4.2 * len(names), 3.9), layout="constrained")
    for axes, task in zip(shown.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        axes.axhline(1, color=INK, lw=0.8, ls=":")
        for order, method in enumerate(METHODS):
            f = drawn(lines, task, method)
            if f is None:
                continue
            first = SIZES.index(SMALLEST)
            x = 100 * np.array(SIZES[first:])
            low, high = np.quantile(f[1:, first:], [0.025, 0.975], axis=0)
            style = "--" if "absolute" in method or "matched" in method else "-"
            style = ":" if order >= len(LINES) else style  # the colours begin again
            color = LINES[order % len(LINES)]
            width = 2.2 if order == 0 else 1.2
            axes.plot(x, f[0, first:], style, marker="o", ms=3, lw=width, color=color, label=method)
            if order in (0, 2):
                axes.fill_between(x, low, high, color=color, alpha=0.12, lw=0)
        axes.set_xscale("log")
        axes.set_xticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
        axes.set_xlabel("heads kept, %", size=9)
        axes.set_ylabel("faithfulness (1 = the whole model)", size=9)
        axes.set_title(TITLES.get(task, task), size=10, loc="left", color=INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.25)
    handles, labels = axes.get_legend_handles_labels()
    shown.legend(handles, labels, loc="outside right center", frameon=False, fontsize=7)
    return shown


if __name__ == "__main__":
    print(table(read(Path(__file__).parent / "results.jsonl")))
