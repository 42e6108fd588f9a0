"""Tables of results/ours.csv and results/peers.csv.

python analyses/benchmarks/indices/summary.py
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import scores

HERE = Path(__file__).parent
OURS = "spex_mech"
BEST = ("RegressionMSR", "ProxySHAP", "ProxySHAP adjusted")  # shown for each seed
FLOOR = 1e-9  # errors below this count as this, in geometric means


def main() -> None:
    """Write results/summary.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=HERE / "results")
    args = parser.parse_args()
    rows = []
    for name in ("ours.csv", "peers.csv"):
        with (args.results / name).open() as file:
            rows += list(csv.DictReader(file))
    ours = {_problem(row) for row in rows if row["method"] == OURS}
    text = tables([row for row in rows if _problem(row) in ours])
    (args.results / "summary.md").write_text(text)
    print(text)


def tables(rows: list[dict[str, str]]) -> str:
    """For each index: errors, correlations, the largest five, and CPU seconds, by budget."""
    cells: dict[tuple[str, str, int], list[list[float]]] = defaultdict(list)
    seen = {kind: {row[kind] for row in rows} for kind in ("game", "seed")}
    for row in rows:
        numbers = [float(row[name]) for name in ("error", "spearman", "top5", "seconds")]
        cells[row["task"], row["method"], int(row["budget"])].append(numbers)
    budgets = sorted({key[2] for key in cells})
    text = f"{len(seen['game'])} games; seeds {', '.join(sorted(seen['seed']))}.\n"
    for task in scores.TASKS:
        methods = list(dict.fromkeys(key[1] for key in cells if key[0] == task))
        text += f"\n## {task}\n\n| error / variance | " + " | ".join(map(str, budgets))
        text += " | Spearman | top 5 | CPU s |\n|---|" + "---|" * (len(budgets) + 3) + "\n"
        for method in methods:
            parts = [np.array(cells[task, method, b]) for b in budgets]
            errors = [_geometric(part[:, 0]) if len(part) else "" for part in parts]
            others = [
                " ".join(f"{part[:, k].mean():.2f}" if len(part) else "–" for part in parts)
                for k in (1, 2, 3)
            ]
            text += f"| {method} | " + " | ".join([*errors, *others]) + " |\n"
    text += "\n## Error over that of spex_mech\n\n" + advantages(rows, budgets)
    for seed in sorted(seen["seed"]):
        of_seed = [row for row in rows if row["seed"] == seed]
        text += f"\n## Error over that of spex_mech, seed {seed}\n\n"
        text += advantages(of_seed, budgets, BEST)
    return text


def advantages(
    rows: list[dict[str, str]], budgets: list[int], methods: tuple[str, ...] = ()
) -> str:
    """Each method's error over ours on the same problems: geometric means with intervals over games."""
    errors: dict[tuple[str, str, int], dict[tuple[str, str], float]] = defaultdict(dict)
    for row in rows:
        key = row["task"], row["method"], int(row["budget"])
        errors[key][row["game"], row["seed"]] = max(float(row["error"]), FLOOR)
    text = "| index | method | " + " | ".join(map(str, budgets))
    text += " |\n|---|---|" + "---|" * len(budgets) + "\n"
    for task, method in dict.fromkeys(key[:2] for key in errors):
        cells = []
        for budget in budgets:
            ours, theirs = errors[task, OURS, budget], errors.get((task, method, budget), {})
            logs = defaultdict(list)
            for problem in ours.keys() & theirs.keys():
                logs[problem[0]].append(np.log(theirs[problem] / ours[problem]))
            cells.append(_interval([float(np.mean(logs[game])) for game in sorted(logs)]))
        if method != OURS and (not methods or method in methods):
            text += f"| {task} | {method} | " + " | ".join(cells) + " |\n"
    return text


def _interval(logs: list[float]) -> str:
    """Geometric mean with a 95 % bootstrap interval over games, and in how many of them it is below 1."""
    if not logs:
        return ""
    values = np.array(logs)
    draws = np.random.default_rng(0).integers(0, len(values), (4000, len(values)))
    low, high = np.exp(np.quantile(values[draws].mean(axis=1), [0.025, 0.975]))
    mean, below = np.exp(values.mean()), int((values < 0).sum())
    return f"{mean:.1f} [{low:.1f}, {high:.1f}] ({below})"


def _problem(row: dict[str, str]) -> tuple[str, str, str]:
    return row["game"], row["budget"], row["seed"]


def _geometric(errors: np.ndarray) -> str:
    return f"{np.exp(np.log(np.maximum(errors, FLOOR)).mean()):.3g}"


if __name__ == "__main__":
    main()
