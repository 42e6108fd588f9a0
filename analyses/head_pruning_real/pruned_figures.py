"""Figures of pruned heads on real questions: accuracy by size, and what each head's removal changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from pruned_study import FULL, Study

from spex_mech.pruning.prune import OURS

SHORT = {
    "regular_plural_subject_verb_agreement_1": "regular plural verb",
    "distractor_agreement_relational_noun": "distractor: relational noun",
    "distractor_agreement_relative_clause": "distractor: relative clause",
    "greater_than": "greater-than",
    "ioi": "IOI",
}


def curves(found: Sequence[Study]) -> Figure:
    """Accuracy minus the full model's at each size, a panel for each group and set."""
    groups = list(dict.fromkeys(s.draws[0].group for s in found))
    wide = max(sum(s.draws[0].group == group for s in found) for group in groups)
    drawn = Figure(figsize=(1.8 + 2.0 * wide, 0.6 + 2.6 * len(groups)), layout="constrained")
    panels = drawn.subplots(len(groups), wide, sharey=True, squeeze=False)
    for row, group in zip(panels, groups, strict=True):
        some = [s for s in found if s.draws[0].group == group]
        for axes, study in zip(row, some, strict=False):
            _curve(axes, study)
        for axes in row[len(some) :]:
            axes.set_axis_off()
        row[0].set_ylabel(f"{group} layers:\naccuracy minus full model's")
    drawn.legend(
        *panels[0][0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=5,
        fontsize=8,
        frameon=False,
    )
    return drawn


def _curve(axes, study: Study) -> None:
    one = study.draws[0]
    places = np.arange(len(one.keeps))
    for number, method in enumerate(one.methods):
        gains = [study.gain("accuracy", method, FULL, keep) for keep in one.keeps]
        means = np.array([gain.mean for gain in gains])
        own = {"lw": 2.2, "zorder": 3} if method == OURS else {"lw": 1}
        axes.plot(places, means, "-o", ms=3.5, color=f"C{number}", label=method, **own)
        if method == OURS:
            tests = [study.mcnemar(method, keep).difference for keep in one.keeps]
            ends = np.array([(test.low, test.high) for test in tests])
            axes.fill_between(places, *ends.T, color=f"C{number}", alpha=0.15, lw=0)
    axes.axhline(0.0, color="0.4", ls="--", lw=1)
    axes.set_xticks(places, [str(keep) for keep in one.keeps])
    axes.set_xlabel(f"heads kept of {len(one.heads)}", size=8)
    full = study.mean("accuracy", FULL, one.keeps[0])
    axes.set_title(f"{_short(one.task)}\n(full model {full:.2f})", size=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def heads_map(found: Sequence[Study]) -> Figure:
    """What the removal of each head alone changes in margin, a row for each set, a panel for each group."""
    groups = list(dict.fromkeys(s.draws[0].group for s in found))
    counts = [sum(s.draws[0].group == group for s in found) for group in groups]
    most = max(len(s.draws[0].heads) for s in found)
    drawn = Figure(
        figsize=(3.2 + 0.27 * most, 0.34 * sum(counts) + 1.1 * len(groups) + 0.3),
        layout="constrained",
    )
    panels = drawn.subplots(len(groups), 1, squeeze=False, height_ratios=counts)[:, 0]
    for axes, group in zip(panels, groups, strict=True):
        some = [s for s in found if s.draws[0].group == group]
        heads = some[0].draws[0].heads
        level = 1 - 0.05 / len(heads)
        changes = [[s.without("margin", h, level) for h in range(len(heads))] for s in some]
        values = np.array([[change.mean for change in row] for row in changes])
        scale = np.abs(values).max(axis=1, keepdims=True)
        image = axes.imshow(values / scale, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
        for i, row in enumerate(changes):
            for j, change in enumerate(row):
                if change.low > 0 or change.high < 0:
                    axes.plot(j, i, "o", ms=3, color="black")
        names = [
            f"{_short(s.draws[0].task)} (±{c[0]:.2f})" for s, c in zip(some, scale, strict=True)
        ]
        axes.set_yticks(range(len(some)), names, size=8)
        axes.set_xticks(range(len(heads)), heads, size=7, rotation=90)
        axes.set_title(f"{group} layers", size=9)
    bar = drawn.colorbar(image, ax=list(panels), shrink=0.8, pad=0.01, ticks=[-1, 0, 1])
    bar.set_label("margin without the head, minus\nfull; share of the row's largest", size=8)
    bar.ax.tick_params(labelsize=7)
    return drawn


def _short(task: str) -> str:
    return SHORT.get(task, task.replace("_", " "))
