"""The figures: curves of every subject, differences to every baseline, and transfer between subjects."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from comparisons import FULL, Study, measured
from study import CONFIG, METRICS

from spex_mech.pruning.prune import OURS

SUBJECTS, KEEPS = CONFIG["subjects"], CONFIG["keeps"]
INK, GREY = "#222222", "#b8b8b8"
COLOURS = {
    OURS: "#c0392b",
    "greedy removal": "#2c6fbb",
    "best of random": "#2a9d5c",
    "lasso ranking": "#8e5bb5",
    "taylor": "#d98b1f",
}
LABELS = {"accuracy": "test accuracy", "margin": "test margin (logits)"}


def curves(study: Study, metric: str, path: Path) -> None:
    """Metric against heads kept, a panel for each subject and one for their mean."""
    figure, axes = plt.subplots(2, 4, figsize=(13, 6.2), sharex=True, layout="constrained")
    for axis, subject in zip(axes.flat, [*SUBJECTS, None], strict=True):
        subjects = SUBJECTS if subject is None else [subject]
        full = np.mean([study.mean(metric, s, FULL, KEEPS[0]) for s in subjects])
        axis.axhline(full, color=INK, linewidth=0.8, linestyle=":", label="full model")
        for method in sorted(study.methods, key=lambda m: (m in COLOURS, m == OURS)):
            means = [np.mean([study.mean(metric, s, method, k) for s in subjects]) for k in KEEPS]
            own = method == OURS
            axis.plot(
                KEEPS,
                means,
                color=COLOURS.get(method, GREY),
                linewidth=2.4 if own else 1.4,
                marker="o" if own else None,
                markersize=4,
                label=method if method in COLOURS else "other baselines",
            )
        axis.set_title("mean of the subjects" if subject is None else subject, loc="left", size=11)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=9)
    axes[0, 0].invert_xaxis()
    axes[0, 0].set_xticks(KEEPS)
    figure.supxlabel("heads kept, of 32", size=11)
    figure.supylabel(LABELS[metric], size=11)
    handles = dict(zip(*reversed(axes[0, 0].get_legend_handles_labels()), strict=True))
    order = [OURS, *(m for m in COLOURS if m != OURS), "other baselines", "full model"]
    shown = [m for m in order if m in handles]
    place = {"loc": "outside upper center", "frameon": False}
    figure.legend([handles[m] for m in shown], shown, ncols=len(shown), **place)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def gains(study: Study, path: Path) -> None:
    """Ours minus each baseline, mean over all subjects and sizes, with intervals."""
    others = study.methods[1:]
    found = {m: [study.average_gain(metric, m, KEEPS) for metric in METRICS] for m in others}
    order = sorted(others, key=lambda m: -found[m][1].mean)
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
    for column, (axis, metric) in enumerate(zip(axes, METRICS, strict=True)):
        for row, method in enumerate(order):
            gain = found[method][column]
            colour = COLOURS.get(method, "#777777")
            axis.plot([gain.low, gain.high], [row, row], color=colour, linewidth=2.2)
            axis.plot(gain.mean, row, "o", color=colour, markersize=6)
        axis.axvline(0, color=INK, linewidth=0.8)
        axis.set_yticks(range(len(order)), order)
        axis.set_xlabel(f"ours minus the baseline: {LABELS[metric]}")
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
        axis.grid(axis="x", color="#e6e6e6", linewidth=0.7)
        axis.set_axisbelow(True)
    count = f"{len(SUBJECTS)} subjects x {len(KEEPS)} sizes, {len(study.seeds)} splits"
    figure.suptitle(f"Right of zero: ours is better (mean of {count}; 95 % intervals)", size=11)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def cells(study: Study, method: str, path: Path) -> None:
    """Ours minus one baseline for every subject and size."""
    found = [[study.gain("margin", s, method, k) for k in KEEPS] for s in SUBJECTS]
    means = np.array([[gain.mean for gain in line] for line in found])
    most = np.abs(means).max()
    figure, axis = plt.subplots(figsize=(8.6, 4.6), layout="constrained")
    image = axis.imshow(means, cmap="RdBu", vmin=-most, vmax=most, aspect="auto")
    for (row, column), value in np.ndenumerate(means):
        gain = found[row][column]
        sure = gain.low > 0 or gain.high < 0
        colour = "white" if abs(value) > 0.6 * most else INK
        weight = "bold" if sure else "normal"
        text = f"{value:+.2f}" + ("*" if sure else "")
        axis.text(column, row, text, ha="center", va="center", color=colour, weight=weight)
    axis.set_xticks(range(len(KEEPS)), [str(k) for k in KEEPS])
    axis.set_yticks(range(len(SUBJECTS)), SUBJECTS)
    axis.set_xlabel("heads kept, of 32")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axis)
    bar.set_label("test margin (logits)")
    axis.set_title(
        f"Ours minus {method} (* = its 95 % interval does not hold zero)", size=11, loc="left"
    )
    figure.savefig(path, dpi=130)
    plt.close(figure)


def transfer(study: Study, keep: int, path: Path) -> None:
    """Accuracy of the model pruned for one subject on the questions of every other."""
    table = np.array(
        [
            [
                np.mean([measured("accuracy", m) for m in study.transferred(a, b, keep)])
                for b in SUBJECTS
            ]
            for a in SUBJECTS
        ]
    )
    figure, axis = plt.subplots(figsize=(7.2, 5.8), layout="constrained")
    image = axis.imshow(table, cmap="Blues", vmin=0.2, vmax=1.0)
    for (row, column), value in np.ndenumerate(table):
        weight = "bold" if row == column else "normal"
        colour = "white" if value > 0.65 else INK
        axis.text(
            column, row, f"{value:.2f}", ha="center", va="center", color=colour, weight=weight
        )
    axis.set_xticks(range(len(SUBJECTS)), SUBJECTS)
    axis.set_yticks(range(len(SUBJECTS)), SUBJECTS)
    axis.set_xlabel("asked about")
    axis.set_ylabel(f"pruned for ({keep} of 32 heads kept)")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axis, shrink=0.85)
    bar.set_label("test accuracy (chance 0.25)")
    figure.savefig(path, dpi=130)
    plt.close(figure)
