"""Does a gradient help the Gaussian process, as its prior mean or as the start and centre of its relevances?

    python analyses/benchmarks/walsh_gp/gradients.py

Rows of results/gradients.csv that are there already are not made again.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import torch
from scipy.optimize import minimize

sys.path.insert(0, str(Path(__file__).parents[2]))
from table_rows import append, mean_text, read

import spex_mech as sm
from spex_mech.ablation.gate_gradients import gate_gradients, integrated_gradients
from spex_mech.decoders.gp.fit import condition_on, learn_in_stages
from spex_mech.decoders.gp.kernel import signs
from spex_mech.decoders.gp.likelihood import TIE, Prior, objective
from spex_mech.decoders.samples import Samples

HERE = Path(__file__).parent
BUDGETS = (16, 32, 64, 128, 256)
CHECK, QUESTIONS = 300, 24
_FLOOR = 0.1  # of the mean squared gradient, so that no player is taken to be without relevance
_STEPS, _CLIP, _TIED = 60, 2.0, 16
Predictor = Callable[[np.ndarray], np.ndarray]


def plain(data: Samples, gradient: np.ndarray) -> Predictor:
    """The process without the gradient."""
    return condition_on(learn_in_stages(data), data)


def as_mean(data: Samples, gradient: np.ndarray) -> Predictor:
    """The gradient's line, scaled by least squares, is the prior mean; the process has what it leaves."""
    line = data.masks @ gradient
    columns = np.stack([line, np.ones_like(line)], axis=1)
    scale, offset = np.linalg.lstsq(columns, data.values, rcond=None)[0]
    left = plain(replace(data, values=data.values - scale * line - offset), gradient)
    return lambda masks: left(masks) + scale * (masks @ gradient) + offset


def as_relevances(data: Samples, gradient: np.ndarray) -> Predictor:
    """Relevances start at, and are drawn to, the squared gradient in place of one another.

    The prior variance of a single player's Fourier term is proportional to its relevance.
    """
    square = gradient**2 + _FLOOR * (gradient**2).mean()
    centre = np.log(square) - np.log(square).mean()
    start = Prior.start(len(centre)).pack()
    n, (mean, deviation) = len(centre), data.moments()
    shift = np.concatenate([centre, np.zeros(len(start) - n)])
    values = np.clip((data.values - mean) / deviation, -_CLIP, _CLIP)
    sign, tie = signs(data.masks), TIE * min(1.0, _TIED / n)

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        found, slope = objective(logs + shift, sign, values, data.counts, tie=0.0)
        apart = logs[:n] - logs[:n].mean()
        slope = slope.copy()
        slope[:n] += 2 * tie * apart
        return found + tie * float(apart @ apart), slope

    bounds = [(-9.0, 1.0)] * n + [(-6.0, 3.0)] + [(-12.0, 8.0)] * 3
    best = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS}
    )
    return condition_on(Prior.unpack(best.x + shift, n), data)


WAYS = {"without": plain, "prior mean": as_mean, "relevances": as_relevances}


def main() -> None:
    """Measure, and write results/gradients.csv and results/gradients.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=["people", "capitals", "travel"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    path = HERE / "results" / "gradients.csv"
    model = sm.load_model("embedded")
    players = sm.select_players(model, "heads")
    for name in args.tasks:
        task = sm.load_task(f"embedded/{name}").first(QUESTIONS)
        game = sm.TaskGame(model, task, players, metric="margin")
        for seed in args.seeds:
            if not any((r["task"], r["seed"]) == (name, str(seed)) for r in read(path)):
                for row in measured(game, name, seed):
                    append(path, row)
            print(name, seed, flush=True)
    (HERE / "results" / "gradients.md").write_text(table(read(path)), encoding="utf-8")
    print(table(read(path)))


def measured(game: sm.TaskGame, name: str, seed: int) -> list[dict[str, str]]:
    """R² of every way at every budget, on masks held out."""
    n = game.players.n
    masks = sm.designs.biased(n, BUDGETS[-1], keep_rate=(0.4, 0.95), seed=seed).masks
    held = sm.designs.biased(n, CHECK, keep_rate=(0.4, 0.95), seed=1000 + seed).masks
    values, truth = game(masks), game(held)
    gradients = {
        "AtP": gate_gradients(game).mean(axis=0),
        "NAP-IG": integrated_gradients(game).mean(axis=0),
    }
    rows = []
    for budget in BUDGETS:
        data = Samples(masks[:budget], values[:budget], np.ones(budget))
        for gradient, of in gradients.items():
            for way, fit in WAYS.items():
                if way == "without" and gradient != "AtP":
                    continue
                r2 = sm.faithfulness(fit(data, of), held, truth)
                label = way if way == "without" else f"{way}, {gradient}"
                rows.append(
                    {
                        "task": name,
                        "seed": str(seed),
                        "masks": str(budget),
                        "way": label,
                        "r2": f"{r2:.4f}",
                    }
                )
    return rows


def table(rows: list[dict[str, str]]) -> str:
    """Mean R² over tasks and seeds, with bootstrap intervals over them, and the gain over none."""
    budgets = sorted({int(r["masks"]) for r in rows})
    text = (
        "| way | "
        + " | ".join(f"{b} masks" for b in budgets)
        + " |\n|---|"
        + "---|" * len(budgets)
        + "\n"
    )
    of = {(r["task"], r["seed"], int(r["masks"]), r["way"]): float(r["r2"]) for r in rows}
    games = sorted({(r["task"], r["seed"]) for r in rows})
    for way in dict.fromkeys(r["way"] for r in rows):
        cells = []
        for b in budgets:
            gains = [of[(*g, b, way)] - of[(*g, b, "without")] for g in games]
            mean = np.mean([of[(*g, b, way)] for g in games])
            cells.append(f"{mean:.3f}" + ("" if way == "without" else f" ({mean_text(gains)})"))
        text += f"| {way} | " + " | ".join(cells) + " |\n"
    return text


if __name__ == "__main__":
    main()
