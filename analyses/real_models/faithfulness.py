"""How well do decoders predict a trained model's ablations? See the README beside this file.

    python analyses/real_models/faithfulness.py --tasks circuits/ioi
    python analyses/real_models/faithfulness.py --methods "shapiq ProxySPEX"    # needs the peers

What the model answered is kept under ``--out``, and rows that are in results.csv already are not made again.
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

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks" / "decoders"))
from methods import shapiq_proxyspex

import spex_mech as sm
from spex_mech.core.faithfulness import r2_interval

HERE = Path(__file__).parent
FIELDS = ("task", "questions", "method", "masks", "r2", "low", "high", "cpu_seconds")
PEER = "shapiq ProxySPEX"
METHODS = ("auto", "walsh_gp", "proxyspex", "lasso", PEER)
CHECK_SEED = 1000


def main() -> None:
    """Measure, and write results.csv, results.md and faithfulness.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--tasks", nargs="+", default=["circuits/ioi"])
    parser.add_argument("--questions", type=int, default=24)
    parser.add_argument("--budgets", type=int, nargs="+", default=[100, 250, 500, 1000])
    parser.add_argument("--check", type=int, default=200)
    parser.add_argument("--methods", nargs="+", default=list(METHODS[:-1]), choices=METHODS)
    parser.add_argument("--out", type=Path, default=Path("runs/real_models"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = sm.load_model(args.model)
    players = sm.select_players(model, "heads")
    path = HERE / "results.csv"
    for name in args.tasks:
        task = sm.load_task(name).first(args.questions)
        game = sm.TaskGame(model, task, players, metric="margin")
        store = args.out / name.replace("/", "_")
        design, values, check, truth = evaluated(game, store, max(args.budgets), args.check)
        for method in args.methods:
            for budget in args.budgets:
                row = (name, args.questions, method, budget)
                if row not in {key_of(r) for r in read(path)}:
                    measured = measure(first(design, budget), values, method, check, truth)
                    append(path, [*row, *measured])
    (HERE / "results.md").write_text(table(read(path)), encoding="utf-8")
    figure(read(path)).savefig(HERE / "faithfulness.png", dpi=120)
    print((HERE / "results.md").read_text())


def evaluated(
    game: sm.TaskGame, store: Path, budget: int, checks: int
) -> tuple[sm.MaskDesign, np.ndarray, np.ndarray, np.ndarray]:
    """The design that a pilot leads to, and held-out masks from the same keep rates; both with values."""
    rates = sm.find_keep_rates(game, budget, store=store, seed=0)
    print(rates.message, flush=True)
    values = sm.evaluate(game, rates.design, store=store).values
    keep_rate = (rates.low, rates.high)
    held = sm.designs.biased(rates.design.n, checks, keep_rate=keep_rate, seed=CHECK_SEED)
    return rates.design, values, held.masks, sm.evaluate(game, held, store=store).values


def first(design: sm.MaskDesign, budget: int) -> tuple[sm.MaskDesign, np.ndarray]:
    """The design at a smaller budget: a twentieth from the pilot, and then random masks; and their rows."""
    pilot = min(len(design) // 20, 24)
    part = min(budget // 20, pilot)
    rows = np.concatenate([np.arange(part), np.arange(pilot, pilot + budget - part)])
    return sm.MaskDesign(design.masks[rows], design.seed, design.kind, design.keep_rates), rows


def measure(
    part: tuple[sm.MaskDesign, np.ndarray],
    values: np.ndarray,
    method: str,
    check: np.ndarray,
    truth: np.ndarray,
) -> tuple[float | str, ...]:
    """R² on the held-out masks with its 95 % interval, and CPU seconds."""
    design, rows = part
    began = time.process_time()
    if method == PEER:
        spectrum = shapiq_proxyspex(design, lambda masks: values[rows], 0)[0]
    else:
        single = method == "lasso" and len(design) * design.n**2 // 2 > 2**25
        options = {"order": 1} if single else {}
        spectrum = sm.decode(design, values[rows], method=method, seed=0, **options)
    seconds = time.process_time() - began
    r2 = r2_interval(np.asarray(spectrum(check)), truth, seed=0)
    print(method, len(design), r2, f"{seconds:.1f} s", flush=True)
    return (*(f"{x:.4f}" for x in (r2.mean, r2.low, r2.high)), f"{seconds:.1f}")


def table(rows: list[dict[str, str]]) -> str:
    """R² by method and number of masks, a table for each task."""
    text = ""
    for task in dict.fromkeys(r["task"] for r in rows):
        some = [r for r in rows if r["task"] == task]
        budgets = sorted({int(r["masks"]) for r in some})
        text += f"### {task}, {some[0]['questions']} questions: R² [95 % interval], CPU seconds\n\n"
        text += "| method | " + " | ".join(f"{b} masks" for b in budgets) + " |\n"
        text += "|---|" + "---|" * len(budgets) + "\n"
        for method in (m for m in METHODS if any(r["method"] == m for r in some)):
            cells = {int(r["masks"]): r for r in some if r["method"] == method}
            texts = [
                "{:.3f} [{:.3f}, {:.3f}], {:.0f} s".format(
                    *(float(cells[b][k]) for k in ("r2", "low", "high", "cpu_seconds"))
                )
                if b in cells
                else ""
                for b in budgets
            ]
            text += f"| {method} | " + " | ".join(texts) + " |\n"
        text += "\n"
    return text


def figure(rows: list[dict[str, str]]) -> Figure:
    """R² against the number of masks, with intervals; a panel for each task."""
    tasks = list(dict.fromkeys(r["task"] for r in rows))
    drawn = Figure(figsize=(5.5 * len(tasks), 4), layout="constrained")
    for axes, task in zip(drawn.subplots(1, len(tasks), squeeze=False)[0], tasks, strict=True):
        for method in METHODS:
            some = sorted(
                (r for r in rows if (r["task"], r["method"]) == (task, method)),
                key=lambda r: int(r["masks"]),
            )
            if not some:
                continue
            x, r2, low, high = (
                np.array([float(r[k]) for r in some]) for k in ("masks", "r2", "low", "high")
            )
            axes.errorbar(x, r2, yerr=[r2 - low, high - r2], marker="o", capsize=3, label=method)
        axes.set_xscale("log")
        budgets = sorted({int(r["masks"]) for r in rows if r["task"] == task})
        axes.set_xticks(budgets, [str(budget) for budget in budgets])
        axes.minorticks_off()
        axes.set_xlabel("masks")
        axes.set_ylabel("R² on 200 held-out masks (95 % interval)")
        axes.set_title(task)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    return drawn


def key_of(row: dict[str, str]) -> tuple[str, int, str, int]:
    """What a row is of."""
    return row["task"], int(row["questions"]), row["method"], int(row["masks"])


def read(path: Path) -> list[dict[str, str]]:
    """The rows so far."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def append(path: Path, row: list) -> None:
    """Add one row."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(FIELDS)
        writer.writerow(row)


if __name__ == "__main__":
    main()
