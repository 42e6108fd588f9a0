"""Tables and figure of what scaling.py has measured: see the README beside this file.

python analyses/feature_attribution/scaling_summary.py
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import ttest_1samp

RESULTS = Path(__file__).parent / "results"
NAMES = {
    "auto": "auto", "proxyspex": "our ProxySPEX", "lasso": "LASSO", "lime": "LIME",
    "kernel_shap": "KernelSHAP", "faith_banzhaf": "Faith-Banzhaf 2", "spex": "SPEX",
}  # fmt: skip
LOWEST = -0.3
Cells = dict[tuple[int, str], dict[int, float]]  # (masks, method) -> seed -> R²


def main() -> None:
    """Write results/scaling.md and results/scaling.png."""
    panels = _panels()
    text = "".join(_table(title, cells) for title, cells in panels.items())
    (RESULTS / "scaling.md").write_text(text, encoding="utf-8")
    _figure(panels)
    print(text)


def _panels() -> dict[str, Cells]:
    """The R² of each method, number of masks and seed, by game and number of features."""
    panels: dict[str, Cells] = {}
    for game, title in (("rule", "{} words, rule"), ("passages", "{} words, embedded model")):
        for line in (RESULTS / f"scaling_{game}.jsonl").read_text().splitlines():
            row = json.loads(line)
            players, seed, masks, method, _ = row["id"]
            panel = panels.setdefault(title.format(players), defaultdict(dict))
            panel[masks, method][seed] = row["r2"]
    return dict(sorted(panels.items(), key=lambda item: ("embedded" in item[0], _words(item[0]))))


def _words(title: str) -> int:
    return int(title.split()[0])


def _table(title: str, cells: Cells) -> str:
    """Mean R² over the texts, and how much more `auto` has, with Student's 95 % interval over them."""
    texts = max(len(seeds) for seeds in cells.values())
    head = f"### {title}, {texts} texts\n\n| masks | " + " | ".join(NAMES.values()) + " |\n"
    text = head + "|---|" + "---|" * len(NAMES) + "\n"
    for masks in sorted({masks for masks, _ in cells}):
        marks = [_cell(cells, masks, method) for method in NAMES]
        text += f"| {masks} | " + " | ".join(marks) + " |\n"
    return text + "\n"


def _cell(cells: Cells, masks: int, method: str) -> str:
    own, auto = cells.get((masks, method), {}), cells.get((masks, "auto"), {})
    if not own:
        return ""
    mean = f"{np.mean(list(own.values())):.3f}"
    both = sorted(own.keys() & auto.keys())
    if method == "auto" or len(both) < 2:
        return mean
    gap = np.array([auto[seed] - own[seed] for seed in both])
    interval = ttest_1samp(gap, 0.0).confidence_interval()
    return f"{mean} ({gap.mean():+.3f} [{interval.low:+.3f}, {interval.high:+.3f}])"


def _figure(panels: dict[str, Cells]) -> None:
    figure, axes = plt.subplots(1, len(panels), figsize=(3.2 * len(panels), 3.4), sharey=True)
    for axis, (title, cells) in zip(axes, panels.items(), strict=True):
        ticks = sorted({masks for masks, _ in cells})
        for colour, (method, name) in enumerate(NAMES.items()):
            points = [(m, cells[m, method]) for m in ticks if (m, method) in cells]
            width = 2.5 if method == "auto" else 1.2
            r2 = [max(float(np.mean(list(seeds.values()))), LOWEST) for _, seeds in points]
            masks = [m for m, _ in points]
            axis.plot(masks, r2, "o-", color=f"C{colour}", lw=width, ms=3, label=name)
        axis.set(title=title, xlabel="masks", xscale="log", ylim=(LOWEST, 1))
        axis.axhline(0, color="grey", lw=0.5)
        axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks], minor=False)
        axis.minorticks_off()
    axes[0].set_ylabel(f"R² on fresh masks (below {LOWEST} drawn there)")
    axes[-2].legend(frameon=False, fontsize=8, loc="upper left")
    figure.tight_layout()
    figure.savefig(RESULTS / "scaling.png", dpi=130)


if __name__ == "__main__":
    main()
