"""Subsets trained a second: a stack against a plain loop, interleaved in one process on one thread."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
from problem import RECIPE, build, problem

from spex_mech import training_data as td

STACK, LOOP, ROUNDS = 256, 8, 3
NETWORKS = {
    "perceptron, 64-32-10": build,
    "linear, 64-10": lambda: td.multilayer((1, 8, 8), 10, ()),
}


def speed(here: Path) -> None:
    """Time both on the digits, in CPU seconds, and compare their final weights."""
    train, _ = problem()
    found = {}
    for name, network in NETWORKS.items():
        stack = td.TorchTrainer(network, RECIPE, stack=STACK)
        loop = td.TorchTrainer(network, RECIPE, stack=1)
        rng = np.random.default_rng(0)
        stack.weights(
            train, rng.random((2, len(train))) < 0.5, 0
        )  # first use compiles nothing, but imports
        ratios, rates, apart = [], [], 0.0
        for k in range(ROUNDS):
            subsets = rng.random((STACK, len(train))) < 0.5
            began = time.process_time()
            together = stack.weights(train, subsets, k)
            middle = time.process_time()
            alone = loop.weights(train, subsets[:LOOP], k)
            end = time.process_time()
            fast, slow = STACK / (middle - began), LOOP / (end - middle)
            ratios.append(fast / slow)
            rates.append((fast, slow))
            apart = max(apart, *(float((together[w][:LOOP] - alone[w]).abs().max()) for w in alone))
        fast, slow = np.median(rates, axis=0)
        found[name] = {
            "stack, subsets a CPU second": round(float(fast), 1),
            "loop, subsets a CPU second": round(float(slow), 1),
            "ratio, median": round(float(np.median(ratios)), 2),
            "ratio, each round": [round(r, 2) for r in ratios],
            "largest difference of a final weight": apart,
        }
        print(name, found[name], flush=True)
        (here / "speed.json").write_text(json.dumps(found, indent=1) + "\n")
