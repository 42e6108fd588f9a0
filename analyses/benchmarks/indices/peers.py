"""shapiq's estimators of interaction indices, in an environment of their own: see the README beside this.

python analyses/benchmarks/indices/peers.py --games ../shared/games
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import scores
import shapiq
from shapiq.approximator import (
    SVARMIQ,
    KernelSHAPIQ,
    LeverageSHAP,
    OddSHAP,
    PolySHAP,
    ProxySHAP,
    RegressionFSII,
    RegressionMSR,
)

HERE = Path(__file__).parent
Make = Callable[[int, str, int], object]
SINGLE: Mapping[str, Make] = {
    "RegressionMSR": lambda n, _, seed: RegressionMSR(n, "SV", random_state=seed),
    "ProxySHAP, adjusted": lambda n, _, seed: ProxySHAP(
        n, max_order=1, index="SV", adjustment=True, random_state=seed
    ),
    "LeverageSHAP": lambda n, _, seed: LeverageSHAP(n, random_state=seed),
    "OddSHAP": lambda n, _, seed: OddSHAP(n, random_state=seed),
    "PolySHAP": lambda n, _, seed: PolySHAP(n, random_state=seed),
    "ShaplEIG": lambda n, _, seed: shapiq.ShaplEIG(n, show_progress=False, random_state=seed),
}
PAIRS: Mapping[str, Make] = {
    "ProxySHAP": lambda n, index, seed: ProxySHAP(n, max_order=2, index=index, random_state=seed),
    "ProxySHAP, adjusted": lambda n, index, seed: ProxySHAP(
        n, max_order=2, index=index, adjustment=True, random_state=seed
    ),
    "SVARM-IQ": lambda n, index, seed: SVARMIQ(n, 2, index, random_state=seed),
}
OF_ONE: Mapping[str, tuple[str, Make]] = {
    "SII": ("KernelSHAP-IQ", lambda n, index, seed: KernelSHAPIQ(n, 2, index, random_state=seed)),
    "FSII": ("RegressionFSII", lambda n, _, seed: RegressionFSII(n, 2, random_state=seed)),
}


class Counted:
    """A normalised game that counts the distinct coalitions it was asked for."""

    def __init__(self, table: np.ndarray, n: int) -> None:
        self.table, self.n, self.asked = table - table[0], n, set()

    def __call__(self, coalitions: np.ndarray) -> np.ndarray:
        """Values of 0/1 coalitions."""
        rows = np.atleast_2d(coalitions).astype(np.int64) @ (1 << np.arange(self.n))
        self.asked.update(rows.tolist())
        return self.table[rows]


def methods(task: str) -> dict[str, Make]:
    """The estimators of a task, by name."""
    if task == "SV":
        return dict(SINGLE)
    return dict(PAIRS) | dict([OF_ONE[task]] if task in OF_ONE else [])


def estimate(
    game: scores.Game, task: str, make: Make, budget: int, seed: int
) -> tuple[np.ndarray, int, float]:
    """Estimated values of all sets, distinct evaluations, and CPU seconds."""
    counted = Counted(game.table, game.n)
    start = time.process_time()
    index = "SV" if task == "SV" else task
    found = make(game.n, index, seed).approximate(budget=budget, game=counted)
    seconds = time.process_time() - start
    sets = game.sets(scores.TASKS[task][2])
    return np.array([found[tuple(s)] for s in sets.tolist()]), len(counted.asked), seconds


def main() -> None:
    """Run all peers on all games and append to results/peers.csv."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=Path, required=True, help="folder of <game>.npz files")
    parser.add_argument("--budgets", type=int, nargs="+", default=[100, 200, 500, 1000, 2000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--tasks", nargs="+", default=list(scores.TASKS))
    parser.add_argument("--skip", nargs="*", default=[], help="names of peers to leave out")
    parser.add_argument("--only", nargs="*", help="names of peers to run; all by default")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "peers.csv")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    args.out.parent.mkdir(exist_ok=True)
    done = set()
    if args.out.exists():
        done = {tuple(line.split(",")[:5]) for line in args.out.read_text().splitlines()}
    else:
        args.out.write_text(scores.COLUMNS + "\n")
    print("shapiq", shapiq.__version__)
    for seed in args.seeds:
        for budget in args.budgets:
            for game in scores.games(args.games):
                with args.out.open("a") as file:
                    for task in args.tasks:
                        truth = game.truth(task)
                        for name, make in methods(task).items():
                            key = (game.name, budget, seed, name.replace(",", ""), task)
                            left_out = name in args.skip or (args.only and name not in args.only)
                            if left_out or tuple(map(str, key)) in done:
                                continue
                            try:
                                values, asked, seconds = estimate(game, task, make, budget, seed)
                            except (
                                Exception
                            ) as error:  # what a peer cannot do is told, and left out
                                print(*key, "failed:", repr(error)[:200], flush=True)
                                continue
                            found = scores.compare(values, truth)
                            file.write(scores.row(key, found, asked, seconds) + "\n")
            print(f"seed {seed}, {budget} masks: done", flush=True)


if __name__ == "__main__":
    main()
