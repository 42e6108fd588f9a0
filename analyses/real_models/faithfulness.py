"""How well do decoders predict a trained model's ablations? See the README beside this file.

    python analyses/real_models/faithfulness.py
    python analyses/real_models/faithfulness.py --peer-python OTHER/bin/python    # with shapiq 1.8

What the model answered, and what each method predicts, is kept under ``--out``. Rows that are in results.csv
already are not made again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import torch
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).parents[1]))
from table_rows import append, read

import spex_mech as sm
from spex_mech.core.faithfulness import r2_interval

HERE = Path(__file__).parent
FIELDS = (
    "task", "questions", "seed", "method", "masks", "r2", "low", "high", "cpu_seconds",
    "behind_auto", "behind_low", "behind_high",
)  # fmt: skip
KEY = FIELDS[:5]
PEER = "shapiq ProxySPEX"
METHODS = ("auto", "walsh_gp", "proxyspex", "lasso", PEER)
TASKS = {
    "ioi": "circuits/ioi",
    "greater_than": HERE / "tasks" / "greater_than.toml",
    "agreement": HERE / "tasks" / "agreement.toml",
}
CHECK_SEED = 1000
DRAWS = 10_000


def main() -> None:
    """Measure, and write results.csv, results.md and faithfulness.png."""
    args = _options()
    torch.set_num_threads(1)
    model = sm.load_model(args.model)
    players = sm.select_players(model, "heads")
    path = HERE / "results.csv"
    for name in args.tasks:
        task = sm.load_task(TASKS[name]).first(args.questions)
        game = sm.TaskGame(model, task, players, metric="margin")
        for seed in args.seeds:
            folder = args.out / f"{name}-{args.questions}-{seed}"
            design, values, check, truth = evaluated(
                game, folder, max(args.budgets), args.check, seed
            )
            folder /= f"of-{max(args.budgets)}"  # smaller budgets are parts of that design
            folder.mkdir(exist_ok=True)
            for budget in args.budgets if not args.evaluate_only else ():
                part = first(design, budget)
                for method in args.methods:
                    key = dict(zip(KEY, (name, args.questions, seed, method, budget), strict=True))
                    if any(all(r[k] == str(v) for k, v in key.items()) for r in read(path)):
                        continue
                    found, seconds = predicted(
                        folder, part, values, method, check, args.peer_python
                    )
                    auto = predicted(folder, part, values, "auto", check, args.peer_python)[0]
                    append(
                        path, key | measures(found, auto, truth) | {"cpu_seconds": f"{seconds:.1f}"}
                    )
    (HERE / "results.md").write_text(table(read(path)), encoding="utf-8")
    figure(read(path)).savefig(HERE / "faithfulness.png", dpi=120)
    print((HERE / "results.md").read_text())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--model", default="smollm2")
    add("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    add("--questions", type=int, default=24)
    add("--seeds", type=int, nargs="+", default=[0], help="of the designs")
    add("--budgets", type=int, nargs="+", default=[100, 250, 500, 1000])
    add("--check", type=int, default=200)
    add(
        "--methods",
        nargs="+",
        choices=METHODS,
        help="default all, the peer with --peer-python only",
    )
    add("--peer-python", help="a Python with shapiq 1.8")
    add("--evaluate-only", action="store_true", help="fill the stores and decode nothing")
    add("--out", type=Path, default=Path("runs/real_models"))
    args = parser.parse_args()
    if args.methods is None:
        args.methods = METHODS if args.peer_python else METHODS[:-1]
    if PEER in args.methods and not args.peer_python:
        parser.error(f"{PEER} needs --peer-python, the Python of an environment with shapiq 1.8")
    return args


def evaluated(
    game: sm.TaskGame, folder: Path, budget: int, checks: int, seed: int
) -> tuple[sm.MaskDesign, np.ndarray, np.ndarray, np.ndarray]:
    """The design that a pilot leads to, and held-out masks from the same keep rates; both with values."""
    store = folder / "store"
    rates = sm.find_keep_rates(game, budget, store=store, seed=seed)
    print(rates.message, flush=True)
    values = sm.evaluate(game, rates.design, store=store).values
    keep_rate = (rates.low, rates.high)
    held = sm.designs.biased(rates.design.n, checks, keep_rate=keep_rate, seed=CHECK_SEED + seed)
    return rates.design, values, held.masks, sm.evaluate(game, held, store=store).values


def first(design: sm.MaskDesign, budget: int) -> tuple[sm.MaskDesign, np.ndarray]:
    """The design at a smaller budget: a twentieth from the pilot, and then random masks; and their rows."""
    pilot = min(len(design) // 20, 24)
    part = min(budget // 20, pilot)
    rows = np.concatenate([np.arange(part), np.arange(pilot, pilot + budget - part)])
    return sm.MaskDesign(design.masks[rows], design.seed, design.kind, design.keep_rates), rows


def predicted(
    folder: Path,
    part: tuple[sm.MaskDesign, np.ndarray],
    values: np.ndarray,
    method: str,
    check: np.ndarray,
    peer_python: str | None,
) -> tuple[np.ndarray, float]:
    """A method's values of the held-out masks, and the CPU seconds of its fit; made once and kept."""
    design, rows = part
    kept = folder / f"{method}-{len(design)}.npz".replace(" ", "_")
    if kept.exists():
        with np.load(kept, allow_pickle=False) as data:
            return data["predicted"], float(data["seconds"])
    began = time.process_time()
    if method == PEER:
        spectrum, seconds = newest_shapiq(design, values[rows], str(peer_python))
    else:
        single = method == "lasso" and len(design) * design.n**2 // 2 > 2**25
        options = {"order": 1} if single else {}
        spectrum = sm.decode(design, values[rows], method=method, seed=0, **options)
        seconds = time.process_time() - began
    found = np.asarray(spectrum(check))
    np.savez(kept, predicted=found, seconds=seconds)
    print(method, len(design), f"{seconds:.1f} s", flush=True)
    return found, seconds


def newest_shapiq(
    design: sm.MaskDesign, values: np.ndarray, python: str
) -> tuple[sm.Spectrum, float]:
    """The spectrum of shapiq 1.8's ProxySPEX on the design's masks, and the CPU seconds of its fit."""
    with tempfile.TemporaryDirectory() as folder:
        samples, terms = Path(folder) / "samples.npz", Path(folder) / "terms.npz"
        np.savez(samples, masks=design.masks, values=values)
        command = [python, str(HERE / "newest_shapiq.py"), str(samples), str(terms)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": ""})
        with np.load(terms, allow_pickle=False) as data:
            supports = [tuple(np.flatnonzero(row).tolist()) for row in data["supports"]]
            spectrum = sm.Spectrum.from_supports(supports, data["coefficients"].tolist(), design.n)
            return spectrum, float(data["seconds"])


def measures(found: np.ndarray, auto: np.ndarray, truth: np.ndarray) -> dict[str, str]:
    """R² on the held-out masks, and how far it is behind that of ``auto``, with 95 % bootstrap intervals.

    The second interval is paired: both methods are scored on the same resampled masks.
    """
    r2 = r2_interval(found, truth, seed=0)
    m = len(truth)
    counts = np.random.default_rng(0).multinomial(m, np.full(m, 1 / m), size=DRAWS)
    centred = truth - truth.mean()
    spread = counts @ centred**2 - (counts @ centred) ** 2 / m
    more = (truth - found) ** 2 - (truth - auto) ** 2
    low, high = np.quantile(counts @ more / spread, [0.025, 0.975])
    numbers = (r2.mean, r2.low, r2.high, more.sum() / (centred @ centred), low, high)
    names = ("r2", "low", "high", "behind_auto", "behind_low", "behind_high")
    return {name: f"{x:.4f}" for name, x in zip(names, numbers, strict=True)}


def table(rows: list[dict[str, str]]) -> str:
    """R² by method and number of masks, and the distance to ``auto``: a table for each task and seed."""
    text = ""
    for task, seed in dict.fromkeys((r["task"], r["seed"]) for r in rows):
        some = [r for r in rows if (r["task"], r["seed"]) == (task, seed)]
        budgets = sorted({int(r["masks"]) for r in some})
        text += f"### {task}, {some[0]['questions']} questions, seed {seed}: R² [95 % interval], "
        text += "CPU seconds; behind auto by [95 % interval, paired]\n\n"
        text += "| method | " + " | ".join(f"{b} masks" for b in budgets) + " |\n"
        text += "|---|" + "---|" * len(budgets) + "\n"
        for method in (m for m in METHODS if any(r["method"] == m for r in some)):
            cells = {int(r["masks"]): cell(r) for r in some if r["method"] == method}
            text += f"| {method} | " + " | ".join(cells.get(b, "") for b in budgets) + " |\n"
        text += "\n"
    return text


def cell(row: dict[str, str]) -> str:
    """One cell of the table."""
    numbers = {k: float(row[k]) for k in FIELDS[5:]}
    text = "{r2:.3f} [{low:.3f}, {high:.3f}], {cpu_seconds:.0f} s".format(**numbers)
    if row["method"] == "auto":
        return text
    return text + "; {behind_auto:+.3f} [{behind_low:+.3f}, {behind_high:+.3f}]".format(**numbers)


def figure(rows: list[dict[str, str]]) -> Figure:
    """R² against the number of masks, with intervals; a panel for each task and seed."""
    panels = list(dict.fromkeys((r["task"], r["seed"]) for r in rows))
    drawn = Figure(figsize=(5.5 * len(panels), 4), layout="constrained")
    for axes, panel in zip(drawn.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for method in METHODS:
            some = sorted(
                (r for r in rows if (r["task"], r["seed"], r["method"]) == (*panel, method)),
                key=lambda r: int(r["masks"]),
            )
            if not some:
                continue
            x, r2, low, high = (
                np.array([float(r[k]) for r in some]) for k in ("masks", "r2", "low", "high")
            )
            axes.errorbar(x, r2, yerr=[r2 - low, high - r2], marker="o", capsize=3, label=method)
        axes.set_xscale("log")
        budgets = sorted({int(r["masks"]) for r in rows if (r["task"], r["seed"]) == panel})
        axes.set_xticks(budgets, [str(budget) for budget in budgets])
        axes.minorticks_off()
        axes.set_xlabel("masks")
        axes.set_ylabel("R² on 200 held-out masks (95 % interval)")
        axes.set_title(f"{panel[0]}, seed {panel[1]}")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    return drawn


if __name__ == "__main__":
    main()
