"""Draw curve.png (training) and leave_one_out.png (heads): python figures.py."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
import world

mpl.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent


def draw_curve() -> None:
    """Validation accuracy per subject against step."""
    lines = (HERE / "train_log.jsonl").read_text(encoding="utf-8").splitlines()
    log = [json.loads(line) for line in lines]
    steps, ends, before = [], [], 0  # the steps of all phases, counted through
    for entry, following in zip(log, [*log[1:], {"phase": None}], strict=True):
        steps.append(before + entry["step"])
        if following["phase"] != entry["phase"]:
            before = steps[-1]
            ends.append(before)
    figure, axes = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
    for number, subject in enumerate(world.SUBJECTS):
        marker = "osv^DPX"[number]
        values = [entry[subject] for entry in log]
        axes.plot(steps, values, marker=marker, markersize=4, linewidth=1.4, label=subject)
    for end in ends[:-1]:
        axes.axvline(end, color="grey", linewidth=0.8)
    for number, (begin, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True), start=1):
        axes.annotate(
            f"phase {number}" if number == 1 else str(number),
            ((begin + end) / 2, 0.03),
            ha="center",
            color="grey",
        )
    axes.axhline(0.25, color="grey", linestyle=":", linewidth=1)
    axes.annotate(
        "chance",
        (1.0, 0.245),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="top",
        color="grey",
    )
    axes.set(xlabel="training step", ylabel="validation accuracy", ylim=(0, 1.03))
    axes.grid(alpha=0.25)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    figure.savefig(HERE / "curve.png", dpi=130)


def draw_leave_one_out() -> None:
    """Accuracy without each head: a layer x head panel for each subject and their mean."""
    subjects = json.loads((HERE / "evidence.json").read_text(encoding="utf-8"))["subjects"]
    grids = {name: s["leave_one_out"]["accuracy"] for name, s in subjects.items()}
    grids["mean"] = np.mean(list(grids.values()), axis=0).tolist()
    figure, panels = plt.subplots(2, 4, figsize=(11, 4), layout="constrained", sharey=True)
    for axes, (name, values) in zip(panels.flat, grids.items(), strict=True):
        grid = np.reshape(values, (-1, 8))
        image = axes.imshow(grid, vmin=0.25, vmax=1, cmap="viridis", aspect="auto")
        for (row, column), value in np.ndenumerate(grid):
            if value < 0.95:
                color = "white" if value < 0.7 else "black"
                text = f"{value:.2f}"[1:]
                axes.text(column, row, text, ha="center", va="center", color=color, fontsize=7)
        axes.set_title(name, fontsize=10)
        axes.set_xticks(range(8))
        axes.set_yticks(range(len(grid)))
    for axes in panels[-1]:
        axes.set_xlabel("head")
    for axes in panels[:, 0]:
        axes.set_ylabel("layer")
    figure.colorbar(image, ax=panels, label="test accuracy without the head")
    figure.savefig(HERE / "leave_one_out.png", dpi=120)


if __name__ == "__main__":
    draw_curve()
    draw_leave_one_out()
