"""Does a gradient help the Gaussian process, as its prior mean or as the start and centre of its relevances?

    python analyses/benchmarks/walsh_gp/gradients.py
    python analyses/benchmarks/walsh_gp/gradients.py --games smollm2 random-1024 trained-1024 --seeds 0

Rows of results/gradients.csv that are there already are not made again.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import torch
import transformers

sys.path.insert(0, str(Path(__file__).parents[2]))
from many_heads import game as many_heads
from table_rows import append, mean_text, read

import spex_mech as sm
from spex_mech.ablation.gate_gradients import gate_gradients, integrated_gradients
from spex_mech.decoders.gp.fit import condition_on, learn_in_stages
from spex_mech.decoders.samples import Samples

HERE = Path(__file__).parent
FIELDS = ("task", "seed", "masks", "way", "r2")
_FLOOR = 0.1  # of the mean squared gradient, so that no player is taken to be without relevance
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
    """Relevances start at, and are drawn to, the squared gradient in place of one another."""
    square = gradient**2 + _FLOOR * (gradient**2).mean()
    return plain(replace(data, centre=np.log(square)), gradient)


def auto(data: Samples, gradient: np.ndarray) -> Predictor:
    """The whole stack without the gradient."""
    return sm.decode(sm.MaskDesign(data.masks, 0), data.values, seed=0)


def auto_with(data: Samples, gradient: np.ndarray) -> Predictor:
    """The whole stack, whose processes take the gradient for their relevances."""
    return sm.decode(sm.MaskDesign(data.masks, 0), data.values, seed=0, gradients=gradient)


@dataclass(frozen=True)
class Way:
    """A fit, the gradient that it takes, and the way that it is compared with; "" for none."""

    fit: Callable[[Samples, np.ndarray], Predictor]
    gradient: str = "AtP"
    beside: str = ""


WAYS = {
    "without": Way(plain),
    "prior mean, AtP": Way(as_mean, "AtP", "without"),
    "relevances, AtP": Way(as_relevances, "AtP", "without"),
    "prior mean, NAP-IG": Way(as_mean, "NAP-IG", "without"),
    "relevances, NAP-IG": Way(as_relevances, "NAP-IG", "without"),
    "`auto`": Way(auto),
    "`auto`, AtP": Way(auto_with, "AtP", "`auto`"),
}


def main() -> None:
    """Measure, and write results/gradients.csv and results/gradients.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", nargs="+", default=["people", "capitals", "travel"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    path = HERE / "results" / "gradients.csv"
    for name in args.games:
        measured = MEASURED.get(name, embedded)
        for seed in args.seeds:
            done = {r["way"] for r in read(path) if (r["task"], r["seed"]) == (name, str(seed))}
            left = [way for way in args.ways if way not in done]
            for row in measured(name, seed, left) if left else []:
                append(path, row)
            print(name, seed, flush=True)
    (HERE / "results" / "gradients.md").write_text(table(read(path)), encoding="utf-8")
    print(table(read(path)))


def embedded(name: str, seed: int, ways: list[str]) -> list[dict[str, str]]:
    """The embedded model's 32 heads, on 24 questions of one of its tasks."""
    model = sm.load_model("embedded")
    task = sm.load_task(f"embedded/{name}").first(24)
    game = sm.TaskGame(model, task, sm.select_players(model, "heads"), metric="margin")
    return rows_of(game, name, seed, ways, (0.4, 0.95), (16, 32, 64, 128, 256), 300)


def smollm2(name: str, seed: int, ways: list[str]) -> list[dict[str, str]]:
    """SmolLM2's 270 heads, on 12 questions of IOI, at the keep rates that a pilot finds."""
    model = sm.load_model("smollm2")
    task = sm.load_task("circuits/ioi").first(12)
    game = sm.TaskGame(model, task, sm.select_players(model, "heads"), metric="margin")
    return rows_of(game, name, seed, ways, (0.74, 0.96), (32, 64, 128, 256, 512), 150)


def random_weights(name: str, seed: int, ways: list[str]) -> list[dict[str, str]]:
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
    return rows_of(game, name, seed, ways, (0.4, 0.95), (64, 128, 256, 512), 300)


def trained_weights(name: str, seed: int, ways: list[str]) -> list[dict[str, str]]:
    """The 1,024 heads of `many_heads`, on 24 questions, at the keep rates that a pilot finds."""
    game = many_heads(Path("runs/many_heads"), 24, seed=0)
    rates = sm.find_keep_rates(game, 400, seed=0)
    budgets = (32, 64, 128, 256, 512, 1024)
    return rows_of(game, name, seed, ways, (rates.low, rates.high), budgets, 300)


MEASURED: dict[str, Callable[[str, int, list[str]], list[dict[str, str]]]] = {
    "smollm2": smollm2,
    "random-1024": random_weights,
    "trained-1024": trained_weights,
}
"""Games other than the embedded model's tasks, by name."""


def rows_of(
    game: sm.TaskGame,
    name: str,
    seed: int,
    ways: list[str],
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
        for way in ways:
            r2 = sm.faithfulness(WAYS[way].fit(data, gradients[WAYS[way].gradient]), held, truth)
            numbers = (name, str(seed), str(budget), way, f"{r2:.4f}")
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
    """Mean R² over tasks and seeds, and the gain over the same without gradients, with intervals."""
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
    for way, each in WAYS.items():
        some = [g for g in games if all((*g, b, way) in of for b in budgets)]
        if not some:
            continue
        cells = []
        for b in budgets:
            mean = f"{np.mean([of[(*g, b, way)] for g in some]):.3f}"
            if each.beside:
                mean += (
                    f" ({mean_text([of[(*g, b, way)] - of[(*g, b, each.beside)] for g in some])})"
                )
            cells.append(mean)
        text += f"| {way} | " + " | ".join(cells) + " |\n"
    return text


if __name__ == "__main__":
    main()
