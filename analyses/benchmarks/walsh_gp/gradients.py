"""Does a gradient help the Gaussian process, as its prior mean or as the start and centre of its relevances?

    python analyses/benchmarks/walsh_gp/gradients.py
    python analyses/benchmarks/walsh_gp/gradients.py --games smollm2 random-1024 --seeds 0

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
import transformers
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
FIELDS = ("task", "seed", "masks", "way", "r2")
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
    parser.add_argument("--games", nargs="+", default=["people", "capitals", "travel"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    path = HERE / "results" / "gradients.csv"
    for name in args.games:
        measured = MEASURED.get(name, embedded)
        for seed in args.seeds:
            if not any((r["task"], r["seed"]) == (name, str(seed)) for r in read(path)):
                for row in measured(name, seed):
                    append(path, row)
            print(name, seed, flush=True)
    (HERE / "results" / "gradients.md").write_text(table(read(path)), encoding="utf-8")
    print(table(read(path)))


def embedded(name: str, seed: int) -> list[dict[str, str]]:
    """The embedded model's 32 heads, on 24 questions of one of its tasks."""
    model = sm.load_model("embedded")
    task = sm.load_task(f"embedded/{name}").first(24)
    game = sm.TaskGame(model, task, sm.select_players(model, "heads"), metric="margin")
    return rows_of(game, name, seed, (0.4, 0.95), (16, 32, 64, 128, 256), 300)


def smollm2(name: str, seed: int) -> list[dict[str, str]]:
    """SmolLM2's 270 heads, on 12 questions of IOI, at the keep rates that a pilot finds."""
    model = sm.load_model("smollm2")
    task = sm.load_task("circuits/ioi").first(12)
    game = sm.TaskGame(model, task, sm.select_players(model, "heads"), metric="margin")
    return rows_of(game, name, seed, (0.74, 0.96), (32, 64, 128, 256, 512), 150)


def random_weights(name: str, seed: int) -> list[dict[str, str]]:
    """A Llama of 32 layers of 32 heads with random weights, on 8 prompts of 12 tokens."""
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=128,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=32,
        initializer_range=0.1,
    )
    model = sm.load_model(transformers.LlamaForCausalLM(config).eval())
    rng = np.random.default_rng(seed)
    pairs = np.stack([rng.choice(128, 2, replace=False) for _ in range(8)])
    task = sm.TokenTask(rng.integers(0, 128, (8, 12)), answers=pairs)
    game = sm.TaskGame(model, task, sm.select_players(model, "heads"), metric="margin")
    return rows_of(game, name, seed, (0.4, 0.95), (64, 128, 256, 512), 300)


MEASURED: dict[str, Callable[[str, int], list[dict[str, str]]]] = {
    "smollm2": smollm2,
    "random-1024": random_weights,
}
"""Games other than the embedded model's tasks, by name."""


def rows_of(
    game: sm.TaskGame,
    name: str,
    seed: int,
    keep_rate: tuple[float, float],
    budgets: tuple[int, ...],
    checks: int,
) -> list[dict[str, str]]:
    """R² of every way at every budget, on masks held out."""
    n = game.players.n
    masks = sm.designs.biased(n, budgets[-1], keep_rate=keep_rate, seed=seed).masks
    held = sm.designs.biased(n, checks, keep_rate=keep_rate, seed=1000 + seed).masks
    values, truth = game(masks), game(held)
    gradients = {
        "AtP": gate_gradients(game).mean(axis=0),
        "NAP-IG": integrated_gradients(game).mean(axis=0),
    }
    rows = []
    for budget in budgets:
        data = Samples(masks[:budget], values[:budget], np.ones(budget))
        for gradient, of in gradients.items():
            for way, fit in WAYS.items():
                if way == "without" and gradient != "AtP":
                    continue
                r2 = sm.faithfulness(fit(data, of), held, truth)
                label = way if way == "without" else f"{way}, {gradient}"
                numbers = (name, str(seed), str(budget), label, f"{r2:.4f}")
                rows.append(dict(zip(FIELDS, numbers, strict=True)))
                print(*numbers, flush=True)
    return rows


def table(rows: list[dict[str, str]]) -> str:
    """A table of the embedded model's tasks together, and one for each other game."""
    text = ""
    games = dict.fromkeys(r["task"] if r["task"] in MEASURED else "embedded" for r in rows)
    for game in games:
        some = [r for r in rows if (r["task"] if r["task"] in MEASURED else "embedded") == game]
        seeds = {(r["task"], r["seed"]) for r in some}
        text += f"### {game}, {len(seeds)} {'game' if len(seeds) == 1 else 'games'}\n\n"
        text += one_table(some) + "\n"
    return text


def one_table(rows: list[dict[str, str]]) -> str:
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
