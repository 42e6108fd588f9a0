"""Draw what scaling.py has measured: see the README beside this file.

python analyses/feature_attribution/scaling_figure.py
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt

RESULTS = Path(__file__).parent / "results"
NAMES = {
    "auto": "auto", "proxyspex": "our ProxySPEX", "lasso": "LASSO", "lime": "LIME", "spex": "SPEX",
    "faith_banzhaf": "Faith-Banzhaf 2", "kernel_shap": "KernelSHAP",
}  # fmt: skip
LOWEST = -0.3


def main() -> None:
    """Write results/scaling.png: a panel for every number of features."""
    panels: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for game, title in (("rule", "{} words, rule"), ("passages", "{} words, embedded model")):
        for line in (RESULTS / f"scaling_{game}.jsonl").read_text().splitlines():
            row = json.loads(line)
            players, _, masks, method, _ = row["id"]
            if "r2" in row:
                panel = panels.setdefault(title.format(players), defaultdict(list))
                panel[method].append((masks, max(row["r2"], LOWEST)))
    figure, axes = plt.subplots(1, len(panels), figsize=(3.2 * len(panels), 3.4), sharey=True)
    for axis, (title, methods) in zip(axes, sorted(panels.items(), key=_size), strict=True):
        for colour, (method, name) in enumerate(NAMES.items()):
            points = sorted(methods.get(method, []))
            width = 2.5 if method == "auto" else 1.2
            masks, r2 = zip(*points, strict=True) if points else ((), ())
            axis.plot(masks, r2, "o-", color=f"C{colour}", lw=width, ms=3, label=name)
        axis.set(title=title, xlabel="masks", xscale="log", ylim=(LOWEST, 1))
        axis.axhline(0, color="grey", lw=0.5)
        ticks = sorted({masks for points in methods.values() for masks, _ in points})
        axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks], minor=False)
        axis.minorticks_off()
    axes[0].set_ylabel(f"R² on fresh masks (below {LOWEST} drawn there)")
    axes[-2].legend(frameon=False, fontsize=8, loc="upper left")
    figure.tight_layout()
    figure.savefig(RESULTS / "scaling.png", dpi=130)


def _size(item: tuple[str, object]) -> tuple[bool, int]:
    return "embedded" in item[0], int(item[0].split()[0])


if __name__ == "__main__":
    main()
