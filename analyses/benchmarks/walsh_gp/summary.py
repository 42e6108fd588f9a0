"""Tables and figure of the results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

METHODS = ("walsh_gp", "proxyspex", "lasso order 2", "lasso order 1")  # order and colours


def write_summary(rows: list[dict], out: Path) -> None:
    """Write summary.md and summary.png."""
    parts = defaultdict(list)
    for row in rows:
        parts[row["part"]].append(row)
    text = ""
    if games := parts["games"]:
        count = len({r["game"] for r in games})
        text += _table(f"{count} real games: mean R² on masks not sampled", games, _budget, "r2")
        text += _table("Recall of the exact top 10 Fourier terms", games, _budget, "recall")
        text += _table("CPU seconds", games, _budget, "cpu_seconds")
        ours = [r for r in games if r["method"] == "walsh_gp" and r["r2"]]
        text += _table("walsh_gp: R² of its readout alone", ours, _budget, "r2_readout")
        text += _table("walsh_gp: `readout_loss`", ours, _budget, "readout_loss")
        for r in ours:
            r["bias"] = float(r["r2_cv"]) - float(r["r2"])
        text += _table("walsh_gp: mean of `r2_cv` - R²", ours, _budget, "bias")
    if planted := parts["planted"]:
        for n in sorted({int(r["n"]) for r in planted}):
            some = [r for r in planted if int(r["n"]) == n]
            text += _table(f"Planted, n = {n}: R²", some, _budget, "r2")
            text += _table(f"Planted, n = {n}: recall of the top 10", some, _budget, "recall")
            text += _table(f"Planted, n = {n}: CPU seconds", some, _budget, "cpu_seconds")
        ours = [r for r in planted if r["method"] == "walsh_gp"]
        exact = sum(r["exact_readout"] == "True" for r in ours)
        text += f"The readout was proven exact in {exact} of {len(ours)} planted problems.\n\n"
    for part, title in (
        ("rows", "Masks the relevances are learnt from"),
        ("masks", "Masks solved for"),
    ):
        for measure in ("r2", "cpu_seconds"):
            if parts[part]:
                text += _table(f"{title}: {measure}", parts[part], lambda r: r["game"], measure)
    for measure in ("r2", "r2_readout", "readout_loss", "terms"):
        if parts["rates"]:
            text += _table(
                f"Keep rates, planted: {measure}", parts["rates"],
                lambda r: f"n {r['n']} rate {r['rate']}", measure,
            )  # fmt: skip
    (out / "summary.md").write_text(text, encoding="utf-8")
    _figure(parts, out / "summary.png")


def _budget(row: dict) -> str:
    return row["budget"]


def _cells(
    rows: Iterable[dict], column: Callable[[dict], str], measure: str
) -> dict[tuple[str, str], float]:
    cells = defaultdict(list)
    for row in rows:
        if row.get(measure) not in ("", None):
            cells[row["method"], column(row)].append(max(float(row[measure]), -1.0))
    return {key: float(np.mean(values)) for key, values in cells.items()}


def _table(title: str, rows: list[dict], column: Callable[[dict], str], measure: str) -> str:
    cells = _cells(rows, column, measure)
    columns = list(dict.fromkeys(column(r) for r in rows))
    text = f"### {title}\n\n| | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns) + "\n"
    names = dict.fromkeys(m for m, _ in cells)
    for method in sorted(names, key=lambda m: METHODS.index(m) if m in METHODS else len(METHODS)):
        marks = [f"{cells[method, c]:.3f}" if (method, c) in cells else "" for c in columns]
        text += f"| {method} | " + " | ".join(marks) + " |\n"
    return text + "\n"


def _figure(parts: dict[str, list[dict]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = [("real games", parts["games"])] if parts["games"] else []
    for n in sorted({int(r["n"]) for r in parts["planted"]}):
        panels.append((f"planted, n = {n}", [r for r in parts["planted"] if int(r["n"]) == n]))
    if not panels:
        return
    figure, axes = plt.subplots(1, len(panels), figsize=(4.6 * len(panels), 3.6), squeeze=False)
    for axis, (title, rows) in zip(axes[0], panels, strict=True):
        cells = _cells(rows, _budget, "r2")
        for k, method in enumerate(METHODS):
            points = sorted((int(b), v) for (m, b), v in cells.items() if m == method)
            if not points:
                continue
            width = 2.5 if method == "walsh_gp" else 1.2
            axis.plot(
                *zip(*points, strict=True), marker="o", linewidth=width, color=f"C{k}", label=method
            )
        axis.set(xscale="log", xlabel="masks", ylabel="R² on masks not sampled", title=title)
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
