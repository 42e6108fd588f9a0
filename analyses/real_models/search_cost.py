"""CPU seconds of the search on the surrogate against those of its ablations; see the README beside this file.

python analyses/real_models/faithfulness.py --tasks ioi --evaluate-only
python analyses/real_models/search_cost.py
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parent / "benchmarks" / "walsh_gp")]

from faithfulness import TASKS, evaluated, first
from planted import planted
from table_rows import append

import spex_mech as sm

MASKS, ABLATIONS = 240, 40


class Timed:
    """A game whose CPU seconds are added up."""

    def __init__(self, game: Callable[[np.ndarray], np.ndarray]) -> None:
        self.game, self.seconds = game, 0.0

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """The game's values."""
        began = time.process_time()
        values = self.game(masks)
        self.seconds += time.process_time() - began
        return values


def main() -> None:
    """Search 75, 50 and 25 % of the heads, and add rows to search_cost.csv."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--questions", type=int, nargs="*", default=[12, 60], help="of the searches"
    )
    parser.add_argument(
        "--many", type=int, default=1024, help="players of a planted game; 0 for none"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/real_models"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    if args.questions:
        model = sm.load_model("smollm2")
        players, task = sm.select_players(model, "heads"), sm.load_task(TASKS["ioi"])
        game = sm.TaskGame(model, task.first(24), players, metric="margin")
        design, values, _, _ = evaluated(game, args.out / "ioi-24-0", 1000, 200, 0)
        part, chosen = first(design, MASKS)
        spectrum = sm.decode(part, values[chosen], seed=0)
        for questions in args.questions:
            game = sm.TaskGame(model, task.first(questions), players, metric="margin")
            game(np.ones((1, players.n), dtype=bool))  # the engine is prepared and compared
            name = f"SmolLM2, {players.n} heads, {questions} questions"
            rows += searches(name, game, spectrum)
    if args.many:
        game = planted(args.many, 3)
        design = sm.designs.biased(args.many, 1000, keep_rate=(0.6, 0.98), seed=0)
        spectrum = sm.decode(design, game(design.masks), seed=0)
        rows += searches(f"planted, {args.many} players", game, spectrum)
    for row in rows:
        append(HERE / "search_cost.csv", row)


def searches(name: str, game: Callable, spectrum: sm.Spectrum) -> list[dict]:
    """One search for each size."""
    rows = []
    for share in (0.75, 0.5, 0.25):
        timed = Timed(game)
        began = time.process_time()
        sm.prune(timed, spectrum, keep=share, validate=ABLATIONS, seed=0)
        total = time.process_time() - began
        row = {"game": name, "kept": share, "ablations": ABLATIONS}
        row |= {"search": round(total - timed.seconds, 2), "ablating": round(timed.seconds, 2)}
        print(row, flush=True)
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
