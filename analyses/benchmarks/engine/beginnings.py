"""How much faster is the engine where beginnings that prompts share are computed once? See README.md.

python analyses/benchmarks/engine/beginnings.py
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from shapes import prompts_of_task

import spex_mech as sm
from spex_mech import ablation
from spex_mech.ablation.fast import batches

TASKS = HERE.parents[1] / "real_models" / "tasks"
CASES = (  # task, questions, players, masks in a repetition
    (f"{TASKS / 'greater_than.toml'}", 12, "heads", 2),
    (f"{TASKS / 'agreement.toml'}", 24, "heads", 4),
    ("circuits/ioi", 24, "heads", 2),
    ("circuits/ioi", 24, "heads:27-29", 16),
)
REPETITIONS = 3


def main() -> None:
    """Print a line for every case."""
    torch.set_num_threads(1)
    model = sm.load_model("smollm2")
    for task, questions, selection, count in CASES:
        prompts = prompts_of_task(model, task, questions)
        players = sm.select_players(model, selection)
        masks = np.random.default_rng(0).random((count, players.n)) < 0.5
        engines = [ablation.FastEngine(model, prompts, players, ablation.zero())]
        with mock.patch.object(batches, "_once", lambda padded: np.arange(sum(map(len, padded)))):
            engines.append(ablation.FastEngine(model, prompts, players, ablation.zero()))
        once, apart = (engine.scores(masks) for engine in engines)
        seconds: list[list[float]] = [[], []]
        for _ in range(REPETITIONS):
            for engine, taken in zip(engines, seconds, strict=True):
                began = time.process_time()
                engine.scores(masks)
                taken.append((time.process_time() - began) / count)
        tokens = [sum(batch.ids.numel() for batch in engine._batches) for engine in engines]
        now, before = (float(np.median(taken)) for taken in seconds)
        print(
            f"{Path(task).stem}, {questions} questions, {selection}: {tokens[1]} and {tokens[0]} tokens, "
            f"{before:.3f} and {now:.3f} CPU s a mask, {before / now:.2f} times as fast; "
            f"largest difference {np.abs(once - apart).max():.0e} of {np.abs(once).max():.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
