"""Draws results.json, which run.py --write made, as store.png."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

HERE = Path(__file__).parent
ONE, TWO, GREY = "#0072b2", "#d55e00", "#999999"


def main() -> None:
    """Four panels, a claim each."""
    results = json.loads((HERE / "results.json").read_text())
    figure, axes = plt.subplots(2, 2, figsize=(10, 7.2), layout="constrained")
    survival(axes[0, 0], results["survival"])
    overhead(axes[0, 1], results["overhead"])
    opening(axes[1, 0], results["open"])
    scaling(axes[1, 1], results["scaling"])
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "store.png", dpi=150)


def survival(axis: plt.Axes, result: dict) -> None:
    """What was stored after each kill, and what each process evaluated in vain."""
    evaluated, stored = np.array(result["kills"]).T
    lost = evaluated - np.diff(stored, prepend=0)
    kills = np.arange(1, len(stored) + 1)
    axis.step(kills, stored, where="mid", color=ONE, label="stored by then")
    axis.bar(kills, lost, color=TWO, label="evaluated and lost: the chunk in flight")
    axis.set(xlabel="kill (SIGKILL at a random moment)", ylabel="masks of 600")
    axis.set_title(f"{len(stored)} kills: {int(lost.sum())} masks evaluated again, none lost")
    axis.legend(frameon=False, loc="upper left", fontsize=8)
    axis.set(ylim=(0, 1.15 * stored.max()), xticks=range(0, len(stored) + 1, 5))


def overhead(axis: plt.Axes, result: dict) -> None:
    """What a run takes beside the game's own calls, stored and in memory."""
    kinds = (("in memory", GREY, "black"), ("stored", ONE, TWO))
    for place, game in enumerate(result.values()):
        for shift, (kind, wall, cpu) in zip((-0.12, 0.12), kinds, strict=True):
            runs = np.array([pair[kind] for pair in game["pairs"]])
            outside = 100 * (runs[:, :2] / runs[:, 2:] - 1)
            x = np.full(len(runs), place + shift)
            label = None if place else kind
            axis.plot(
                x - 0.03, outside[:, 0], "o", color=wall, label=label and f"{label}, wall-clock"
            )
            axis.plot(x + 0.03, outside[:, 1], "s", color=cpu, label=label and f"{label}, CPU")
    added = " and ".join(f"{100 * g['wall-clock outside the game']:.1f} %" for g in result.values())
    seconds = [np.median([p["stored"][0] for p in game["pairs"]]) for game in result.values()]
    names = [
        f"{name}\n{game['masks']} masks, {long:.0f} s"
        for (name, game), long in zip(result.items(), seconds, strict=True)
    ]
    axis.set_xticks(range(len(names)), names)
    axis.set(ylabel="% of the game's own time", xlim=(-0.5, len(names) - 0.5), ylim=(0, None))
    axis.set_title(f"storing adds {added} (goal: < 2 %)")
    axis.legend(frameon=False, fontsize=8)


def opening(axis: plt.Axes, result: dict) -> None:
    """Steps from files to values, wall-clock and CPU."""
    names = list(result["runs"][0]["steps"])
    steps = np.array([[run["steps"][name] for name in names] for run in result["runs"]]).min(axis=0)
    rows = np.arange(len(names))[::-1]
    axis.barh(rows + 0.18, steps[:, 0], 0.34, color=ONE, label="wall-clock")
    axis.barh(rows - 0.18, steps[:, 1], 0.34, color=TWO, label="CPU")
    axis.set_yticks(
        rows, [name.replace(" on ", "\non ").replace(" the ex", "\nthe ex") for name in names]
    )
    axis.set(xlabel="seconds, the better of two fresh processes")
    memory = max(run["memory"] for run in result["runs"])
    axis.set_title(f"10⁶ masks × 100 questions: {result['GiB']:.2f} GiB, peak {memory:.2f} GiB")
    axis.legend(frameon=False)


def scaling(axis: plt.Axes, result: dict) -> None:
    """Seconds against masks for one and two workers."""
    for style, (name, game) in zip(("-", "--"), result.items(), strict=True):
        for workers, colour in ((1, ONE), (2, TWO)):
            points = sorted((n, t) for w, n, t in game["times"] if w == workers)
            (few, short), (many, long) = points
            start = short - few * (long - short) / (many - few)
            axis.plot([0, many], [start, long], style, color=colour, lw=1)
            label = f"{name}: {workers} worker{'s' * (workers > 1)}"
            axis.plot(
                [few, many], [short, long], "o", color=colour, mfc="w" if style == "--" else None
            )
            fill = "w" if style == "--" else None
            axis.plot([], [], style, marker="o", color=colour, mfc=fill, label=label)
    gains = ", ".join(f"{name.split(',')[0]} × {game['gain']:.2f}" for name, game in result.items())
    axis.set(xlabel="masks", ylabel="seconds, the better of two", ylim=(0, None), xlim=(0, None))
    axis.set_title(f"1 to 2 workers: {gains}")
    axis.legend(frameon=False, fontsize=8)


if __name__ == "__main__":
    main()
