"""Tables and figure of the results."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

METHODS = ("auto", "walsh_gp", "proxyspex", "lasso", "spex", "shapiq ProxySPEX")


def write_summary(rows: list[dict], out: Path) -> None:
    """Write results.md and many_players.png."""
    groups: dict[tuple, list[dict]] = defaultdict(list)
    for row in rows:
        groups[row["part"], int(row["n"]), float(row["rate"])].append(row)
    groups = dict(sorted(groups.items()))
    text = ""
    for (part, n, rate), some in groups.items():
        games = len({r["game"] for r in some})
        title = f"{part}, n = {n}, keep rate {rate:g} ({games} games)"
        for measure in ("r2", "recall", "cpu_seconds"):
            if any(r.get(measure) for r in some):
                text += _table(f"{title}: {measure}", some, measure)
    text += _differences([row for row in rows if row["part"] != "heads"])
    (out / "results.md").write_text(text, encoding="utf-8")
    _figure(groups, out / "many_players.png")


def _differences(rows: list[dict]) -> str:
    """How much more `auto` has on the same masks, over games that are each the mean of their budgets."""
    from scipy.stats import ttest_1samp

    found: dict[tuple, dict[str, float]] = defaultdict(dict)
    for row in rows:
        if row.get("r2"):
            found[row["part"], row["n"], row["game"], row["budget"]][row["method"]] = float(
                row["r2"]
            )
    gaps: dict[str, dict[tuple, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (*game, _), r2 in found.items():
        others = {m: r2[m] for m in ("walsh_gp", "proxyspex", "lasso") if m in r2}
        if "auto" not in r2 or not others:
            continue
        for name, value in {**others, "the best of them": max(others.values())}.items():
            gaps[name][tuple(game)].append(r2["auto"] - value)
    text = "### `auto` minus others, many players, Student's 95 % interval over games\n\n"
    text += (
        "| other | games | R² | sets of masks | lowest | below -.01 |\n|---|---|---|---|---|---|\n"
    )
    for name, games in gaps.items():
        means = np.array([np.mean(gap) for gap in games.values()])
        every = np.concatenate(list(games.values()))
        mark = f"{means.mean():+.3f}"
        if len(means) > 1:
            interval = ttest_1samp(means, 0.0).confidence_interval()
            mark += f" [{interval.low:+.3f}, {interval.high:+.3f}]"
        text += (
            f"| {name} | {len(means)} | {mark} | {len(every)} | {every.min():+.3f} | "
            f"{(every < -0.01).sum()} |\n"
        )
    return text + "\n"


def _cells(rows: list[dict], measure: str) -> dict[tuple[str, int], float]:
    cells = defaultdict(list)
    for row in rows:
        if row.get(measure):
            cells[row["method"], int(row["budget"])].append(max(float(row[measure]), -1.0))
    return {key: float(np.mean(values)) for key, values in cells.items()}


def _table(title: str, rows: list[dict], measure: str) -> str:
    cells = _cells(rows, measure)
    budgets = sorted({int(r["budget"]) for r in rows})
    text = f"### {title}\n\n| masks | " + " | ".join(map(str, budgets)) + " |\n"
    text += "|---|" + "---|" * len(budgets) + "\n"
    for method in METHODS:
        marks = [f"{cells[method, b]:.3f}" if (method, b) in cells else "" for b in budgets]
        if any(marks):
            text += f"| {method} | " + " | ".join(marks) + " |\n"
    return text + "\n"


def _figure(groups: dict[tuple, list[dict]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = min(4, len(groups))
    rows = -(-len(groups) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(3.6 * columns, 3.2 * rows), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(groups) :]:
        axis.axis("off")
    for axis, ((part, n, rate), some) in zip(axes.flat, groups.items(), strict=False):
        cells = _cells(some, "r2")
        for k, method in enumerate(METHODS):
            points = sorted((b, v) for (m, b), v in cells.items() if m == method)
            if points:
                axis.plot(*zip(*points, strict=True), marker="o", color=f"C{k}", label=method)
        title = f"{part}, n = {n}" + (f", keep rate {rate:g}" if part == "heads" else "")
        axis.set(xscale="log", xlabel="masks", ylabel="R² on new masks", title=title, ylim=(0, 1))
        budgets = sorted({b for _, b in cells})
        axis.set_xticks(budgets, [str(b) for b in budgets])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    shown = {}
    for axis in axes.flat:
        handles, labels = axis.get_legend_handles_labels()
        shown |= dict(zip(labels, handles, strict=True))
    figure.legend(shown.values(), shown, loc="outside lower center", ncols=len(shown), fontsize=9)
    figure.savefig(path, dpi=110)
    plt.close(figure)
