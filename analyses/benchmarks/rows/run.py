"""How many rows (questions under masks) does a good spectrum need? See the README beside this file.

    python analyses/benchmarks/rows/run.py
    python analyses/benchmarks/rows/run.py --model smollm2 --tasks circuits/ioi --rows 300 600 1200 2400 \
        --whole 10 20 40 80 --truth 100

Answers are kept under ``--out``, so that a stopped run goes on; rows that are in the results are not measured
again.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import torch
from matplotlib.figure import Figure

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from needed import needed

import spex_mech as sm

SUBJECTS = ("boxes", "capitals", "kinds", "moves", "order", "people", "travel")
FIELDS = (
    "model",
    "task",
    "seed",
    "questions",
    "method",
    "asked",
    "rows",
    "masks",
    "r2",
    "expected",
    "cpu",
)
LEVELS = (0.7, 0.8, 0.9)
ALL = "all"


def main() -> None:
    """Measure what was asked for, and write results.csv, results.md and rows.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--tasks", nargs="+", default=[f"embedded/{name}" for name in SUBJECTS])
    parser.add_argument("--form")
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--rows", type=int, nargs="+", default=[300, 500, 800, 1300, 2100, 3400])
    parser.add_argument("--whole", type=int, nargs="+", default=[20, 40, 70, 120, 200, 340])
    parser.add_argument("--asked", nargs="+", default=["auto", "2", "4", "8"])
    parser.add_argument("--truth", type=int, default=200, help="held-out masks with all questions")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("runs/rows"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = sm.load_model(args.model)
    players = sm.select_players(model, "heads")
    for name in args.tasks:
        task = sm.load_task(name, form=args.form).first(args.questions)
        game = sm.TaskGame(model, task, players, metric="margin")
        for seed in args.seeds:
            measure(game, name, seed, args)
    results = read()
    (HERE / "results.md").write_text(table(results), encoding="utf-8")
    figure(results).savefig(HERE / "rows.png", dpi=120)
    print((HERE / "results.md").read_text())


def measure(game: sm.TaskGame, name: str, seed: int, args: argparse.Namespace) -> None:
    """All methods at all budgets on one task."""
    store = args.out / args.model / name.replace("/", "_")
    every = len(game.question_ids)
    rates = sm.find_keep_rates(game, 240, questions="auto", seed=0, store=store)
    keep_rate, n = (rates.low, rates.high), game.players.n
    most = max(max(args.rows), max(args.whole))
    masks = sm.designs.biased(n, most, keep_rate=keep_rate, seed=seed).masks
    fresh = sm.designs.biased(n, args.truth, keep_rate=keep_rate, seed=1000)
    truth = sm.evaluate(game, fresh, store=store, label="held out").values
    kinds = [(ALL, masks_) for masks_ in args.whole]
    kinds += [(asked, rows) for asked in args.asked for rows in args.rows]
    for asked, size in kinds:
        count, questions = _size(asked, size)
        design = sm.MaskDesign(masks[:count], seed, "biased", np.full(n, sum(keep_rate) / 2))
        run = None
        for method in ("auto", "proxyspex", "lasso") if asked in (ALL, "auto") else ("auto",):
            key = (args.model, name, str(seed), str(every), method, asked)
            if any(
                tuple(r[f] for f in FIELDS[:6]) == key and int(r["masks"]) == count for r in read()
            ):
                continue
            if run is None:
                run = sm.evaluate(game, design, questions=questions, store=store)
            began = time.process_time()
            spectrum = sm.decode(design, run, method=method, seed=seed)
            cpu = time.process_time() - began
            r2 = sm.faithfulness(spectrum, fresh.masks, truth)
            expected = spectrum.info.get("r2_cv", float("nan"))
            append([*key, run.rows, count, f"{r2:.4f}", f"{expected:.4f}", f"{cpu:.1f}"])
            print(*key, run.rows, f"R² {r2:.3f} (expected {expected:.3f}), {cpu:.1f} s", flush=True)


def _size(asked: str, size: int) -> tuple[int, int | str]:
    """Number of masks, and the questions of each."""
    if asked == ALL:
        return size, ALL
    if asked == "auto":  # 1, and a second one of every fifth mask
        return round(size / 1.2), "auto"
    return size // int(asked), int(asked)


def table(results: list[dict[str, str]]) -> str:
    """Rows to each level by task and method, means over seeds of their logarithms."""
    kinds = list(dict.fromkeys((r["method"], r["asked"]) for r in results))
    text = ""
    for level in LEVELS:
        text += f"### Rows to R² {level}\n\n| task | " + " | ".join(f"{m}, {a}" for m, a in kinds)
        text += " |\n|---|" + "---|" * len(kinds) + "\n"
        for task in dict.fromkeys((r["model"], r["task"]) for r in results):
            cells = []
            for kind in kinds:
                found = []
                for seed in dict.fromkeys(r["seed"] for r in results):
                    some = [
                        r for r in results
                        if (r["model"], r["task"], r["seed"]) == (*task, seed)
                        and (r["method"], r["asked"]) == kind
                    ]  # fmt: skip
                    if some:
                        rows, r2 = (np.array([float(r[k]) for r in some]) for k in ("rows", "r2"))
                        found.append(needed(rows, r2, level))
                best = float(np.exp(np.mean(np.log(found)))) if found else float("nan")
                cells.append(f"{best:,.0f}" if np.isfinite(best) else "more" if found else "")
            text += f"| {task[0]}, {task[1]} | " + " | ".join(cells) + " |\n"
        text += "\n"
    return text


def figure(results: list[dict[str, str]]) -> Figure:
    """R² against rows, a panel for each task."""
    tasks = list(dict.fromkeys((r["model"], r["task"]) for r in results))
    kinds = list(dict.fromkeys((r["method"], r["asked"]) for r in results))
    columns = min(4, len(tasks))
    lines = -(-len(tasks) // columns)
    drawn = Figure(figsize=(3.6 * columns, 3.1 * lines), layout="constrained")
    panels = drawn.subplots(lines, columns, squeeze=False, sharey=True)
    for axes in panels.flat[len(tasks) :]:
        axes.set_visible(False)
    for axes, task in zip(panels.flat, tasks, strict=False):
        for number, kind in enumerate(kinds):
            some = sorted(
                (
                    r
                    for r in results
                    if (r["model"], r["task"]) == task and (r["method"], r["asked"]) == kind
                ),
                key=lambda r: float(r["rows"]),
            )
            x = np.array([float(r["rows"]) for r in some])
            y = np.array([float(r["r2"]) for r in some])
            label = f"{kind[0]}, {'all questions' if kind[1] == ALL else f'questions={kind[1]}'}"
            style = "--" if kind[1] == ALL else "-"
            axes.plot(x, np.maximum(y, 0), style, marker="o", ms=3, color=f"C{number}", label=label)
        axes.set_xscale("log")
        axes.set_title(task[1] if task[0] == "embedded" else f"{task[0]}, {task[1]}", size=9)
        axes.set_xlabel("rows", size=9)
        axes.grid(alpha=0.3)
    for axes in panels[:, 0]:
        axes.set_ylabel("R² on held-out masks", size=9)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return drawn


def read() -> list[dict[str, str]]:
    """The results so far."""
    path = HERE / "results.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def append(row: list) -> None:
    """Add one result."""
    path = HERE / "results.csv"
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(FIELDS)
        writer.writerow(row)


if __name__ == "__main__":
    main()
