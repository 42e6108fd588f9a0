"""How well do methods predict a sentiment as texts get longer? See the README beside this file.

    python analyses/long_text/run.py
    python analyses/long_text/run.py --players 128 --kinds review --seeds 1
    python analyses/long_text/run.py --paper

Answers are kept under ``--out``, so that a stopped run goes on; what is in the results is not measured again.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import torch

HERE = Path(__file__).parent
ANALYSES = HERE.parent
sys.path += map(str, (HERE, ANALYSES, ANALYSES / "benchmarks", ANALYSES / "feature_attribution"))

from baselines import faith_banzhaf, lime
from paper import LLAMA, parse
from reviews import sentiment
from table_rows import append, read
from text_figures import write
from texts import text_of

import spex_mech as sm

TEMPLATE = sm.features.Chat(
    "Is the sentiment of this text positive or negative? Answer with one word.\n{text}"
)
ANSWERS = ["Positive", "Negative"]
METHODS = ("auto", "proxyspex", "lasso", "lime", "faith_banzhaf", "spex")
PAIRS_UP_TO = 64  # words up to which all pairs are fitted by least squares
PAIRS_IN_LASSO = 64  # words up to which LASSO has all pairs, beyond them single words
RULE = "rule"
FIELDS = ("model", "kind", "n", "seed")


def main() -> None:
    """Measure what is not in the results yet, and write the table and the figure."""
    args = arguments()
    torch.set_num_threads(1)
    model: Any = None
    for n in args.players:
        for seed in range(args.seeds):
            for kind in args.kinds:
                key = dict(zip(FIELDS, (args.model, kind, str(n), str(seed)), strict=True))
                known = [r for r in read(args.results) if all(r[k] == key[k] for k in FIELDS)]
                missing = [m for m in args.methods if m not in {r["method"] for r in known}]
                if missing:
                    model = model or (
                        sentiment if args.model == RULE else sm.load_model(args.model)
                    )
                    game = game_of(model, text_of(kind, n, seed))
                    measure(game, key, missing, args)
    print(write(read(args.results), args.results.parent))


def game_of(model: Any, text: str) -> sm.features.FeatureGame:
    """Words as players, deleted where missing; the log-odds of "Positive" against "Negative"."""
    if model is sentiment:
        return sm.features.text(model, text, level="word")
    return sm.features.text(
        model, text, level="word", target=ANSWERS, value="margin", template=TEMPLATE
    )


def measure(
    game: sm.features.FeatureGame, key: dict[str, str], methods: list[str], args: argparse.Namespace
) -> None:
    """R² of each method on the same held-out masks, a row for each."""
    n, seed, budget = game.players.n, int(key["seed"]), args.each * game.players.n
    store = args.out / "-".join(value.replace("/", "_") for value in key.values())
    held = sm.evaluate(game, sm.designs.uniform(n, args.held_out, seed=900 + seed), store=store)
    whole = float(game(np.ones((1, n), dtype=bool))[0])
    for method in methods:
        row = key | {"method": method, "whole": round(whole, 3)}
        try:
            design = (
                sm.designs.spex(n, budget, max_degree=3, seed=seed)
                if method == "spex"
                else sm.designs.uniform(n, budget, seed=seed)
            )
        except sm.InputError:  # too few masks for its code
            continue
        if method == "faith_banzhaf" and n > PAIRS_UP_TO:
            continue
        values = sm.evaluate(game, design, store=store / design.kind).values
        began = time.process_time()
        predict = fit(method, design, values, seed)
        spent = time.process_time() - began
        r2 = sm.faithfulness(predict, held.masks, held.values)
        row |= {"masks": len(design), "held out": args.held_out, "R2": round(r2, 4)}
        append(args.results, row | {"fit seconds": round(spent, 1)})
        print(*row.values(), flush=True)


def fit(
    method: str, design: sm.MaskDesign, values: np.ndarray, seed: int
) -> Callable[[np.ndarray], np.ndarray]:
    """A prediction of values from masks."""
    if method in ("lime", "faith_banzhaf"):
        return {"lime": lime, "faith_banzhaf": faith_banzhaf}[method](design, values)
    singles = {"order": 1} if method == "lasso" and design.n > PAIRS_IN_LASSO else {}
    return sm.decode(design, values, method=method, seed=seed, **singles)


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2", help=f"or {RULE}, a sentiment by rule")
    parser.add_argument("--kinds", nargs="+", default=["review", "prose"])
    parser.add_argument("--players", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--each", type=int, default=4, help="masks for each word")
    parser.add_argument("--held-out", type=int, default=48)
    parser.add_argument("--results", type=Path, default=HERE / "results.csv")
    parser.add_argument("--out", type=Path, default=Path("runs/long_text"))
    return parse(
        parser,
        "the paper's sizes: 16 to 1,024 words, 8 masks for each and 1,000 held out, ten texts, on a model "
        "of the hub; needs a GPU",
        model=LLAMA,
        players=[16, 64, 256, 512, 1024],
        each=8,
        held_out=1000,
        seeds=10,
        kinds=["review"],
        results=HERE / "paper" / "results.csv",
    )


if __name__ == "__main__":
    main()
