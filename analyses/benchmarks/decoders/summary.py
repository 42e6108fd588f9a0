"""Table and figure of the benchmark's results."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
from scores import COLUMNS

from spex_mech.core.estimates import paired_difference

HEADINGS = {
    "r2": "R² on masks not sampled (mean; below -1 counts as -1)",
    "recall_fourier": "Recall of the exact top 10 Fourier terms (mean)",
    "recall_fbii": "Recall of the exact top 10 FBII of order <= 3 (mean)",
    "error_shapley": "Relative error of Shapley values (median)",
    "error_sii": "Relative error of SII of pairs (median)",
    "cpu_seconds": "CPU seconds (mean)",
}
PEERS = (
    "shapiq ProxySPEX",
    "shapiq ProxySPEX, no refit",
    "shapiq ProxySHAP trees",
    "spectralexplain ProxySPEX",
)
MEDIANS = ("error_shapley", "error_sii")


def write_summary(rows: list[dict], out: Path) -> None:
    """Write summary.csv, summary.md and summary.png.

    The last table compares ProxySPEX with its peers on exactly the problems that both have solved.
    """
    published = [r for r in rows if is_published(r["game"])]
    text = ""
    for title, part in (("All games", rows), ("The 20 games of the published averages", published)):
        games = len({r["game"] for r in part})
        if games:
            text += f"## {title} ({games})\n\n" + _tables(part)
    text += _advantage(rows) + _speed(rows)
    (out / "summary.md").write_text(text, encoding="utf-8")
    with (out / "summary.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "budget", "measure", "value", "problems"])
        for (method, budget, measure), values in sorted(_cells(rows).items()):
            writer.writerow([method, budget, measure, _average(measure, values), len(values)])
    _figure(rows, out / "summary.png")


def is_published(game: str) -> bool:
    """Sentiment, ViT (the 16-player image classifiers), data valuation and local explanation."""
    others = ("imageclassifier-n14", "adultcensus-featureselection", "adultcensus-datasetvaluation")
    return not game.startswith(others)


def _cells(rows: list[dict]) -> dict[tuple[str, int, str], list[float]]:
    cells = defaultdict(list)
    for row in rows:
        for measure in HEADINGS:
            value = row.get(measure, "")
            if value != "" and np.isfinite(value):
                cells[row["method"], row["budget"], measure].append(float(value))
    return cells


def _average(measure: str, values: list[float]) -> float:
    if measure in MEDIANS:
        return float(np.median(values))
    return float(np.mean(np.maximum(values, -1.0)))


def _tables(rows: list[dict]) -> str:
    cells = _cells(rows)
    budgets = sorted({b for _, b, _ in cells})
    methods = list(dict.fromkeys(r["method"] for r in rows))
    text = ""
    for measure in (*COLUMNS, "cpu_seconds"):
        text += f"### {HEADINGS[measure]}\n\n| method | " + " | ".join(map(str, budgets)) + " |\n"
        text += "|---|" + "---|" * len(budgets) + "\n"
        for method in methods:
            found = [cells.get((method, b, measure)) for b in budgets]
            if any(found):
                marks = [f"{_average(measure, v):.3f}" if v else "" for v in found]
                text += f"| {method} | " + " | ".join(marks) + " |\n"
        text += "\n"
    return text


def _advantage(rows: list[dict]) -> str:
    """`auto` minus other methods on the same masks, by game, and the masks that `auto` saves."""
    solved: dict[tuple, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.get("r2", "") != "":
            solved[row["method"], row["budget"]][row["game"], row["seed"]].append(row["r2"])
    text = "## `auto` against others, on the same masks\n\n"
    text += (
        "Mean over games of the difference in R² (below -1 counts as -1), each game the mean of "
    )
    text += (
        "its seeds, with a paired 95 % bootstrap interval over games. Masks saved: by what factor "
    )
    text += (
        "the mean curve of `auto` reaches the other's mean R² with fewer masks (interpolated in "
    )
    text += "log masks; > where it is already above with the fewest masks measured). Masks the other needs: "
    text += "by what factor more for the mean R² of `auto` with so many; > where none sufficed.\n\n"
    text += (
        "| other | masks | games | auto | other | difference | masks saved | the other needs |\n"
    )
    text += "|---|---|---|---|---|---|---|---|\n"
    for other in (*PEERS, "boosted trees", "proxyspex", "walsh_gp", "lasso 2"):
        for budget in sorted(b for m, b in solved if m == other):
            keys = solved["auto", budget].keys() & solved[other, budget].keys()
            pairs = _by_game(solved["auto", budget], solved[other, budget])
            if len(pairs) < 2:
                continue
            a, b = np.array(list(pairs.values())).T
            d = paired_difference(a, b, seed=0)
            text += (
                f"| {other} | {budget} | {len(pairs)} | {a.mean():.3f} | {b.mean():.3f} | "
                f"{d.mean:+.3f} [{d.low:+.3f}, {d.high:+.3f}] | "
                f"{_saved(_curve(solved, 'auto', keys), (budget, b.mean()))} | "
                f"{_needs(_curve(solved, other, keys), (budget, a.mean()))} |\n"
            )
    return text + "\n"


def _by_game(ours: dict, theirs: dict) -> dict[str, tuple[float, float]]:
    """Each game's pair of means over the seeds that both have solved."""
    games: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for key in ours.keys() & theirs.keys():
        games[key[0]].append((max(ours[key][0], -1.0), max(theirs[key][0], -1.0)))
    return {game: tuple(np.mean(games[game], axis=0)) for game in sorted(games)}


def _curve(solved: dict, method: str, keys: set[tuple[str, int]]) -> list[tuple[int, float]]:
    """The mean R² of a method at every number of masks where it has solved all games of the keys.

    Each game is the mean of those seeds of the keys that were measured.
    """
    games, points = {game for game, _ in keys}, []
    for budget in sorted(b for m, b in solved if m == method):
        own = {key: value for key, value in solved[method, budget].items() if key in keys}
        pairs = _by_game(own, own)
        if set(pairs) == games:
            points.append((budget, float(np.mean([mean for mean, _ in pairs.values()]))))
    return points


def _saved(ours: list[tuple[int, float]], point: tuple[int, float]) -> str:
    budgets, values = np.array(ours).T
    values = np.maximum.accumulate(values)
    if point[1] <= values[0]:
        return f"> {point[0] / budgets[0]:.1f} ×" if point[0] > budgets[0] else "> 1 ×"
    if point[1] > values[-1]:
        return "none"
    needed = np.exp(np.interp(point[1], values, np.log(budgets)))
    return f"{point[0] / needed:.1f} ×"


def _needs(theirs: list[tuple[int, float]], point: tuple[int, float]) -> str:
    if not theirs:
        return ""
    budgets, values = np.array(theirs).T
    values = np.maximum.accumulate(values)
    if point[1] > values[-1]:
        return f"> {budgets[-1] / point[0]:.1f} ×"
    return f"{np.exp(np.interp(point[1], values, np.log(budgets))) / point[0]:.1f} ×"


def _speed(rows: list[dict]) -> str:
    """Our ProxySPEX and each peer's, on the same masks only."""
    solved = {
        (r["method"], r["game"], r["budget"], r["seed"]): r for r in rows if r.get("r2", "") != ""
    }
    text = "## ProxySPEX against its peers, on the same masks\n\n"
    text += "| peer | budget | problems | R² ours | R² peer | CPU s ours | CPU s peer | ratio |\n"
    text += "|---|---|---|---|---|---|---|---|\n"
    for peer in PEERS:
        for budget in sorted({r["budget"] for r in rows}):
            keys = [k[1:] for k in solved if k[0] == peer and k[2] == budget]
            pairs = [
                (solved["proxyspex", *k], solved[peer, *k])
                for k in keys
                if ("proxyspex", *k) in solved
            ]
            if pairs:
                ours, theirs = zip(*pairs, strict=True)
                r2, r2_peer = (_average("r2", [r["r2"] for r in side]) for side in (ours, theirs))
                cpu, cpu_peer = (
                    np.mean([r["cpu_seconds"] for r in side]) for side in (ours, theirs)
                )
                text += (
                    f"| {peer} | {budget} | {len(pairs)} | {r2:.3f} | {r2_peer:.3f} | {cpu:.2f} | "
                    f"{cpu_peer:.2f} | {cpu_peer / cpu:.1f} |\n"
                )
    return text


def _figure(rows: list[dict], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    cells = _cells(rows)
    methods = list(dict.fromkeys(r["method"] for r in rows))
    figure, axes = plt.subplots(2, 3, figsize=(14, 8), layout="constrained")
    for axis, measure in zip(axes.flat, HEADINGS, strict=True):
        for k, method in enumerate(methods):
            budgets = sorted(b for m, b, c in cells if m == method and c == measure)
            if not budgets:
                continue
            values = [_average(measure, cells[method, b, measure]) for b in budgets]
            ours = method in ("auto", "walsh_gp", "proxyspex")
            axis.plot(
                budgets, values, marker="o", markersize=4, color=f"C{k % 10}",
                linestyle="-" if k < 10 else "--", linewidth=2.5 if ours else 1.2, label=method,
            )  # fmt: skip
        axis.set(xscale="log", xlabel="masks", title=HEADINGS[measure])
        axis.title.set_fontsize(9)
        if measure in ("cpu_seconds", *MEDIANS):
            axis.set_yscale("log")
        else:
            axis.set_ylim(0, 1)
    shown = {}
    for axis in axes.flat:
        handles, labels = axis.get_legend_handles_labels()
        shown |= dict(zip(labels, handles, strict=True))
    figure.legend(shown.values(), shown, loc="outside lower center", ncols=6, fontsize=8)
    figure.savefig(path, dpi=130)
    plt.close(figure)
