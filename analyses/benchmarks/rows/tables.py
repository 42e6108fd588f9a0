"""The tables and the figure of rows: what `run.py` has measured, as rows to an R²."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).parents[2]))

from needed import needed

_LEVELS = {"embedded": (0.7, 0.8, 0.9)}
_OTHER_LEVELS = (0.3, 0.5, 0.7)  # of larger models, which have more players and dearer rows
ALL = "all"
Row = dict[str, str]
Kind = tuple[str, str]  # a method, and the questions that each mask is asked
OURS: Kind = ("auto", "auto")
_RIVALS: tuple[Kind, ...] = (("auto", ALL), ("proxyspex", ALL), ("lasso", ALL))
_DRAWS = 2_000


def tables(results: list[Row]) -> str:
    """Rows to each level by task and method, and how many times fewer few questions need."""
    text, kinds = "", kinds_of(results)
    for model in models_of(results):
        for level in levels_of(model):
            text += f"### {model}: rows to R² {level}\n\n| task | "
            text += (
                " | ".join(f"{m}, {a}" for m, a in kinds)
                + " |\n"
                + "|---" * (len(kinds) + 1)
                + "|\n"
            )
            for task in tasks_of(results):
                if task[0] == model:
                    cells = [_cell(rows_needed(results, task, kind, level)) for kind in kinds]
                    text += f"| {task[1]} | {' | '.join(cells)} |\n"
            text += "\n"
    return text + ratio_table(results)


def levels_of(model: str) -> tuple[float, ...]:
    """The values of R² to which rows are counted."""
    return _LEVELS.get(model, _OTHER_LEVELS)


@dataclass(frozen=True)
class Ratio:
    """Rows of another way over those of `OURS`, with one seed.

    Attributes:
        value: the ratio.
        least: it is a lower bound: the other way never reached the level, and counts with all its rows, or
            ours did with its fewest.
        most: it is an upper bound: the other way reached the level with its fewest rows.
    """

    value: float
    least: bool
    most: bool


def ratio_table(results: list[Row]) -> str:
    """How many times more rows another way needs: the median over tasks and seeds by model and level."""
    names = (
        "model",
        "R²",
        "compared with",
        "median [95 %]",
        "range",
        "pairs",
        "at least",
        "at most",
    )
    text = "### Rows of another way, as a multiple of those of `auto` with few questions\n\n"
    text += f"| {' | '.join(names)} |\n" + "|---" * len(names) + "|\n"
    for model in models_of(results):
        for level in levels_of(model):
            for kind in _RIVALS:
                found = ratios(results, model, kind, level)
                if not found:
                    continue
                groups = [np.array([ratio.value for ratio in each]) for each in found.values()]
                every, values = list(chain(*found.values())), np.concatenate(groups)
                low, high = median_interval(groups)
                median = f"{np.median(values):.1f} [{low:.1f}, {high:.1f}]"
                cells = (model, str(level), ", ".join(kind), median)
                cells += (f"{values.min():.1f} to {values.max():.1f}", str(len(values)))
                cells += (str(sum(r.least for r in every)), str(sum(r.most for r in every)))
                text += f"| {' | '.join(cells)} |\n"
    return text


def ratios(
    results: list[Row], model: str, kind: Kind, level: float
) -> dict[tuple[str, str], list[Ratio]]:
    """Rows of a kind over those of `OURS` by task, one for each seed with which `OURS` got there.

    A ratio that is a bound in both directions says nothing, and is left out.
    """
    found: dict[tuple[str, str], list[Ratio]] = {}
    for task in tasks_of(results):
        if task[0] != model:
            continue
        theirs = rows_needed(results, task, kind, level)
        for seed, ours in rows_needed(results, task, OURS, level).items():
            if np.isnan(ours) or seed not in theirs:
                continue
            fewest, most = spent(results, task, kind, seed)
            never = bool(np.isnan(theirs[seed]))
            other = most if never else theirs[seed]
            least = never or ours <= spent(results, task, OURS, seed)[0]
            if not (least and other <= fewest):
                found.setdefault(task, []).append(Ratio(other / ours, least, other <= fewest))
    return found


def spent(results: list[Row], task: tuple[str, str], kind: Kind, seed: str) -> tuple[float, float]:
    """The fewest and the most rows of a kind with a seed."""
    rows = [float(r["rows"]) for r in of(results, task, kind) if r["seed"] == seed]
    return min(rows), max(rows)


def median_interval(groups: list[np.ndarray]) -> tuple[float, float]:
    """A 95 % bootstrap interval of the median: tasks are drawn, and then seeds of each."""
    rng = np.random.default_rng(0)
    medians = np.empty(_DRAWS)
    for k in range(_DRAWS):
        drawn = [groups[g] for g in rng.integers(len(groups), size=len(groups))]
        medians[k] = np.median(np.concatenate([rng.choice(g, len(g)) for g in drawn]))
    low, high = np.quantile(medians, [0.025, 0.975])
    return float(low), float(high)


def rows_needed(
    results: list[Row], task: tuple[str, str], kind: Kind, level: float
) -> dict[str, float]:
    """Rows to a level by seed; NaN where it was not reached."""
    some = of(results, task, kind)
    found = {}
    for seed in dict.fromkeys(r["seed"] for r in some):
        rows, r2 = (
            np.array([float(r[k]) for r in some if r["seed"] == seed]) for k in ("rows", "r2")
        )
        found[seed] = needed(rows, r2, level)
    return found


def of(results: list[Row], task: tuple[str, str], kind: Kind) -> list[Row]:
    """The results of a kind on a task."""
    return [
        r for r in results if (r["model"], r["task"]) == task and (r["method"], r["asked"]) == kind
    ]


def tasks_of(results: list[Row]) -> list[tuple[str, str]]:
    """Models with their tasks."""
    return list(dict.fromkeys((r["model"], r["task"]) for r in results))


def models_of(results: list[Row]) -> list[str]:
    """The models."""
    return list(dict.fromkeys(r["model"] for r in results))


def kinds_of(results: list[Row]) -> list[Kind]:
    """Methods with their questions for each mask."""
    return list(dict.fromkeys((r["method"], r["asked"]) for r in results))


def figure(results: list[Row]) -> Figure:
    """R² against rows, a panel for each task: means over seeds."""
    tasks, kinds = tasks_of(results), kinds_of(results)
    columns = min(4, len(tasks))
    lines = -(-len(tasks) // columns)
    drawn = Figure(figsize=(3.6 * columns, 3.1 * lines), layout="constrained")
    panels = drawn.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axes in panels.flat[len(tasks) :]:
        axes.set_visible(False)
    for axes, task in zip(panels.flat, tasks, strict=False):
        for number, kind in enumerate(kinds):
            x, y = _curve(of(results, task, kind))
            label = f"{kind[0]}, {'all questions' if kind[1] == ALL else f'questions={kind[1]}'}"
            style = "--" if kind[1] == ALL else "-"
            axes.plot(x, np.maximum(y, 0), style, marker="o", ms=3, color=f"C{number}", label=label)
        axes.set_xscale("log")
        axes.set_title(task[1] if task[0] == "embedded" else f"{task[0]}, {task[1]}", size=9)
        axes.set_xlabel("rows", size=9)
        axes.grid(alpha=0.3)
    for axes in panels[:, 0]:
        axes.set_ylabel("R² on held-out masks", size=9)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return drawn


def _curve(some: Iterable[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Mean R² over seeds against rows."""
    by_rows: dict[float, list[float]] = {}
    for row in some:
        by_rows.setdefault(float(row["rows"]), []).append(float(row["r2"]))
    x = np.array(sorted(by_rows))
    return x, np.array([np.mean(by_rows[rows]) for rows in x])


def _cell(found: dict[str, float]) -> str:
    """The mean over seeds of the logarithms; ``more`` where a seed did not reach the level."""
    if not found:
        return ""
    best = float(np.exp(np.mean(np.log(list(found.values())))))
    return f"{best:,.0f}" if np.isfinite(best) else "more"
