"""R² against the budget and against the number of features, for decoders and for the usual baselines."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from baselines import faith_banzhaf, kernel_shap, lime
from reviews import review, sentiment

import spex_mech as sm
import spex_mech.features

HERE = Path(__file__).parent
METHODS = ("auto", "proxyspex", "spex", "lasso", "lime", "kernel_shap", "faith_banzhaf")
PAIRS_UP_TO = 128  # players up to which all pairs are fitted by least squares
PAIRS_IN_LASSO = 256  # players up to which LASSO has all pairs, beyond them single players
HELD = 1000


def main() -> None:
    """Measure what was asked for, a line of results.jsonl for each number."""
    options = _options()
    out = HERE / "results" / f"scaling_{options.game}.jsonl"
    out.parent.mkdir(exist_ok=True)
    done = (
        {tuple(json.loads(line)["id"]) for line in out.read_text().splitlines()}
        if out.exists()
        else set()
    )
    for n in options.players:
        for seed in range(options.seeds):
            game = GAMES[options.game](n, seed)
            held = sm.designs.biased(
                n := game.players.n, HELD, keep_rate=options.keep_rate, seed=900 + seed
            )
            truth: np.ndarray | None = None
            for share in options.budgets:
                budget = int(share * n)
                for method in options.methods:
                    name = [n, seed, budget, method, options.keep_rate]
                    if tuple(name) in done:
                        continue
                    truth = game(held.masks) if truth is None else truth
                    row = measure(game, method, budget, options.keep_rate, seed, held.masks, truth)
                    if row is not None:
                        with out.open("a") as file:
                            file.write(json.dumps({"id": name, **row}) + "\n")
                        print(name, row, flush=True)


def measure(
    game: sm.features.FeatureGame,
    method: str,
    budget: int,
    keep_rate: float,
    seed: int,
    held: np.ndarray,
    truth: np.ndarray,
) -> dict | None:
    """R² on masks drawn like those of the fit, and what the fit cost; None where it cannot be done."""
    n = game.players.n
    if method == "faith_banzhaf" and n > PAIRS_UP_TO:
        return None
    try:
        design = _design(method, n, budget, keep_rate, seed)
    except sm.InputError as refused:
        print(f"{method}, {n} players, {budget} masks: {refused}", flush=True)
        return None
    began = time.process_time()
    values = game(design.masks)
    scored = time.process_time()
    predict = _fit(method, design, values, seed)
    fitted = time.process_time()
    r2 = sm.faithfulness(predict, held, truth)
    return {"r2": r2, "masks": len(design), "score_s": scored - began, "fit_s": fitted - scored}


def _design(method: str, n: int, budget: int, keep_rate: float, seed: int) -> sm.MaskDesign:
    if method == "spex":
        if keep_rate != 0.5:
            raise sm.InputError("coded masks keep a half")
        return sm.designs.spex(n, budget, max_degree=5, seed=seed)
    if method == "kernel_shap":  # its own distribution: sizes by the Shapley kernel, and both ends
        return sm.designs.stratified(n, budget, seed=seed)
    return sm.designs.biased(n, budget, keep_rate=keep_rate, seed=seed)


def _fit(method: str, design: sm.MaskDesign, values: np.ndarray, seed: int) -> Callable:
    if method == "kernel_shap":
        found = kernel_shap(design, values)
        phi = np.array([found.values[(i,)] for i in range(design.n)])
        return lambda masks: found.baseline + masks @ phi
    if method in ("lime", "faith_banzhaf"):
        return {"lime": lime, "faith_banzhaf": faith_banzhaf}[method](design, values)
    singles = {"order": 1} if method == "lasso" and design.n > PAIRS_IN_LASSO else {}
    return sm.decode(design, values, method=method, seed=seed, **singles)


def rule(n: int, seed: int) -> sm.features.FeatureGame:
    """The sentiment of a review of n words, words as players, deleted."""
    scorer: Any = partial(sentiment, scale=float(np.sqrt(n) / 2))
    scorer.fingerprint = f"rule {n}"
    return sm.features.text(scorer, review(n, seed), level="word")


def passages(n: int, seed: int) -> sm.features.FeatureGame:
    """The embedded model's margin on three passages of eight sentences, words as players (n is fixed)."""
    from questions import two_hop

    asked = two_hop("search", 240)
    own, others = asked[seed], [q for q in asked[seed + 1 :] if q.name != asked[seed].name]
    used = set(own.passage.replace(".", "").split()) - {"The", "the", "is", "in"}
    near = sorted(
        others, key=lambda q: len(used & set(q.passage.replace(".", "").split())), reverse=False
    )[:2]
    text = " ".join([near[0].passage, own.passage, near[1].passage])
    return sm.features.text(
        "embedded", text, level="word", template=own.template, target=own.answers, removal="delete"
    )


GAMES = {"rule": rule, "passages": passages}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--game", default="rule", choices=list(GAMES))
    parser.add_argument("--players", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--budgets", type=float, nargs="+", default=[2, 4, 8], help="times players")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--keep-rate", type=float, default=0.5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
