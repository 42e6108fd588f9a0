"""The table and the figure of the analysis of long texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import t as student

Rows = Sequence[dict[str, str]]
NAMES = {
    "auto": "auto",
    "proxyspex": "our ProxySPEX",
    "lasso": "LASSO",
    "lime": "LIME",
    "faith_banzhaf": "Faith-Banzhaf 2",
    "spex": "SPEX",
}

OURS = "auto"
LONG = 64  # words of a long text


def write(rows: Rows, folder: Path) -> str:
    """Write ``results.md`` and ``long_text.png``, and give the tables."""
    text = table(rows) + "\n" + differences(rows)
    (folder / "results.md").write_text(text, encoding="utf-8")
    figure(rows).savefig(folder / "long_text.png", dpi=130)
    return text


def table(rows: Rows) -> str:
    """Mean R² over the texts of a kind and length, with Student's 95 % interval over texts."""
    text = "| model, texts | words | texts | masks | " + " | ".join(NAMES.values()) + " |\n"
    text += "|---" * (4 + len(NAMES)) + "|\n"
    for model, kind, n in dict.fromkeys((r["model"], r["kind"], r["n"]) for r in _in_order(rows)):
        some = [r for r in rows if (r["model"], r["kind"], r["n"]) == (model, kind, n)]
        cells = [n, str(len({r["seed"] for r in some})), str(_masks(some))]
        cells += [interval([float(r["R2"]) for r in some if r["method"] == m]) for m in NAMES]
        text += f"| {model}, {kind} | " + " | ".join(cells) + " |\n"
    return text


def differences(rows: Rows) -> str:
    """R² of auto minus that of each other method on the same texts of all kinds: by length, short, long."""
    others = [method for method in NAMES if method != OURS]
    text = "| model | words | texts | " + " | ".join(f"auto minus {NAMES[m]}" for m in others)
    text += " |\n" + "|---" * (3 + len(others)) + "|\n"
    for model in dict.fromkeys(r["model"] for r in _in_order(rows)):
        some = [r for r in rows if r["model"] == model]
        lengths = sorted({int(r["n"]) for r in some})
        groups = [(str(n), [n]) for n in lengths]
        short, long = ([n for n in lengths if (n < LONG) == is_short] for is_short in (True, False))
        if short and long:
            groups += [(f"below {LONG}", short), (f"{LONG} or more", long)]
        for name, members in groups:
            cells = _differences([r for r in some if int(r["n"]) in members], others)
            text += f"| {model} | {name} | " + " | ".join(cells) + " |\n"
    return text


def _differences(rows: Rows, others: Sequence[str]) -> list[str]:
    """The number of texts, and the mean differences."""
    found = {(r["kind"], r["n"], r["seed"], r["method"]): float(r["R2"]) for r in rows}
    texts = list(dict.fromkeys(key[:3] for key in found))
    cells = [str(len(texts))]
    for method in others:
        both = [t for t in texts if (*t, method) in found and (*t, OURS) in found]
        cells.append(interval([found[*t, OURS] - found[*t, method] for t in both], "+"))
    return cells


def interval(values: Sequence[float], sign: str = "") -> str:
    """A mean with Student's 95 % interval for a cell; of one value that alone, of none nothing."""
    if len(values) < 2:
        return f"{values[0]:{sign}.2f}" if values else ""
    half = half_width(values)
    mean = float(np.mean(values))
    return f"{mean:{sign}.2f} [{mean - half:{sign}.2f}, {mean + half:{sign}.2f}]"


def half_width(values: Sequence[float]) -> float:
    """Half of Student's 95 % interval of a mean; 0 for one value."""
    if len(values) < 2:
        return 0.0
    spread = float(np.std(values, ddof=1)) / np.sqrt(len(values))
    return float(student.ppf(0.975, len(values) - 1)) * spread


def _in_order(rows: Rows) -> Rows:
    return sorted(rows, key=lambda r: (r["model"], r["kind"] == "prose", int(r["n"])))


def _masks(rows: Rows) -> int:
    """Masks of all methods but SPEX, which draws its own."""
    return min(int(r["masks"]) for r in rows if r["method"] != "spex")


def figure(rows: Rows) -> Figure:
    """R² against the number of words, a panel for each model and kind of text; a dot is a text."""
    panels = list(dict.fromkeys((r["model"], r["kind"]) for r in _in_order(rows)))
    drawn = Figure(figsize=(1.8 + 3.4 * len(panels), 3.5), layout="constrained")
    for axes, panel in zip(
        drawn.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True
    ):
        for number, method in enumerate(NAMES):
            some = [r for r in rows if (r["model"], r["kind"]) == panel and r["method"] == method]
            sizes = sorted({int(r["n"]) for r in some})
            found = [[float(r["R2"]) for r in some if int(r["n"]) == n] for n in sizes]
            shift = 2.0 ** (0.05 * (number - 2.5))
            means = [max(float(np.mean(values)), 0.0) for values in found]
            lone = np.array(
                [(n * shift, max(v, 0.0)) for n, vs in zip(sizes, found, strict=True) for v in vs]
            )
            if len(lone):
                axes.plot(*lone.T, ".", ms=4, alpha=0.45, color=f"C{number}")
            axes.plot(
                [n * shift for n in sizes],
                means,
                "-o",
                ms=4.5,
                lw=2.0 if method == OURS else 1.0,
                color=f"C{number}",
                label=NAMES[method],
            )
        axes.set_xscale("log", base=2)
        ticks = sorted({int(r["n"]) for r in rows})
        axes.set_xticks(ticks, [str(t) for t in ticks])
        axes.set_xlim(0.8 * ticks[0], 1.25 * ticks[-1])
        axes.minorticks_off()
        axes.set_title(", ".join(panel), size=10)
        axes.set_xlabel("words")
        axes.set_ylim(-0.03, 1.03)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    drawn.axes[0].set_ylabel("R² on held-out masks (below 0 shown as 0)")
    drawn.legend(
        *drawn.axes[0].get_legend_handles_labels(),
        loc="outside right center",
        fontsize=8,
        frameon=False,
    )
    return drawn
