"""Interaction indices of games of 32 to 1,000 players, ours and shapiq's: see the README beside this file.

python analyses/benchmarks/indices/large.py ours
peers/bin/python analyses/benchmarks/indices/large.py peers --evaluator python
python analyses/benchmarks/indices/large.py table
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent / "walsh_gp")]

from heads import REFERENCE, Served, heads
from planted import planted
from scores import TASKS, compare

from spex_mech.core.interactions import interactions

FIELDS = (
    "game",
    "n",
    "budget",
    "seed",
    "method",
    "index",
    "error",
    "top5",
    "evaluations",
    "seconds",
    "spearman",
)
BUDGETS = {32: (300, 1000), 100: (1000,), 300: (3000,), 1000: (2500,)}
HEADS_BUDGETS = (100, 200, 500, 1000)
PLANTED_SEED = 20
LIMIT = 240  # seconds, after which a peer is given up
Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Problem:
    """A game and the values of its `TASKS` by name, each of all sets of its size in lexicographic order."""

    name: str
    n: int
    game: Function
    indices: Mapping[str, np.ndarray]
    budgets: tuple[int, ...]


def main() -> None:
    """Append to results/large.csv, or write results/large.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("side", choices=["ours", "peers", "table"])
    parser.add_argument("--players", type=int, nargs="+", default=list(BUDGETS))
    parser.add_argument("--budgets", type=int, nargs="+", help="in place of those of each game")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--games", nargs="+", default=["planted", "heads"])
    parser.add_argument(
        "--methods", nargs="+", default=["auto", "walsh_gp"], help="decoders of ours"
    )
    parser.add_argument("--indices", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--skip", nargs="*", default=[], help="names of peers to leave out")
    parser.add_argument(
        "--evaluator", help="a Python with PyTorch, which evaluates the heads for one without"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results" / "large.csv")
    args = parser.parse_args()
    if args.side == "table":
        return table()
    warnings.simplefilter("ignore")
    path = args.out
    rows = list(csv.DictReader(path.open())) if path.exists() else []
    done = {tuple(row[key] for key in FIELDS[:6]) for row in rows}
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if not rows:
            writer.writeheader()
        for seed in args.seeds:
            for problem in problems(args.games, args.players, seed, args.evaluator):
                for budget in args.budgets or problem.budgets:
                    if args.side == "ours":
                        found = ours(problem, budget, seed, args.methods, args.indices, done)
                    else:
                        found = peers(problem, budget, seed, args.skip, args.indices, done)
                    for row in found:
                        writer.writerow(row)
                        file.flush()
                        print(*row.values(), flush=True)
    return None


def problems(
    games: list[str], players: list[int], seed: int, evaluator: str | None
) -> Iterator[Problem]:
    """Planted games of a seed with known terms, and the heads of the embedded model with a long reference."""
    for n in players if "planted" in games else []:
        terms = planted(n, PLANTED_SEED + seed)
        known = {}
        for name, (index, order, size) in TASKS.items():
            values = interactions(terms, index, order, terms="readout").values
            known[name] = of_sets(values, combinations(range(n), size))
        yield Problem("planted", n, terms, known, BUDGETS[n])
    if "heads" in games and 32 in players and REFERENCE.exists():
        stored = json.loads(REFERENCE.read_text())
        game = Served(evaluator) if evaluator else heads()
        known = {name: np.array(stored[name]["values"]) for name in TASKS}
        yield Problem("heads", len(known["SV"]), game, known, HEADS_BUDGETS)


def of_sets(values: Mapping, sets: Iterable[tuple[int, ...]]) -> np.ndarray:
    """The values of some sets, 0 where there is none."""
    return np.array([float(values.get(players, 0.0)) for players in sets])


def row_of(problem: Problem, key: tuple, found: np.ndarray, cost: tuple) -> dict:
    """A line of the results: how far what was found is from the truth, and its cost."""
    error, spearman, top = compare(found, problem.indices[key[-1]])
    numbers = (f"{error:.4g}", top, cost[0], f"{cost[1]:.2f}", f"{spearman:.3f}")
    return dict(zip(FIELDS, (problem.name, problem.n, *key, *numbers), strict=True))


def ours(
    problem: Problem, budget: int, seed: int, methods: list[str], indices: list[str], done: set
) -> Iterator[dict]:
    """Leverage masks, decoded; the indices of the whole model."""
    from spex_mech.decoders.decode import decode
    from spex_mech.designs import leverage

    for method in methods:
        name = f"spex_mech {method}"
        key = (problem.name, str(problem.n), str(budget), str(seed), name)
        wanted = [each for each in indices if (*key, each) not in done]
        if not wanted:
            continue
        design = leverage(problem.n, budget, seed=seed)
        values = problem.game(design.masks)
        start = time.process_time()
        spectrum = decode(design, values, method=method, seed=seed)
        fitting = time.process_time() - start
        for index in wanted:
            start = time.process_time()
            kind, order, size = TASKS[index]
            found = interactions(spectrum, kind, order).values
            cost = (len(design), fitting + time.process_time() - start)
            values_of = of_sets(found, combinations(range(problem.n), size))
            yield row_of(problem, (budget, seed, name, index), values_of, cost)


def peers(
    problem: Problem, budget: int, seed: int, skip: list[str], indices: list[str], done: set
) -> Iterator[dict]:
    """The estimators of shapiq that run within the limit."""
    from peers import methods

    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {LIMIT} s")

    signal.signal(signal.SIGALRM, stop)
    for index in indices:
        for name, make in methods(index).items():
            key = (budget, seed, name, index)
            if name in skip or (problem.name, str(problem.n), *map(str, key)) in done:
                continue
            counted = Counted(problem.game, problem.n)
            start = time.process_time()
            signal.alarm(LIMIT)
            try:
                found = make(problem.n, index, seed).approximate(budget=budget, game=counted)
            except Exception as error:  # what a peer cannot do is told, and left out
                print(problem.name, problem.n, *key, "failed:", repr(error)[:120], flush=True)
                continue
            finally:
                signal.alarm(0)
            seconds = time.process_time() - start - counted.seconds
            sets = combinations(range(problem.n), TASKS[index][2])
            values = np.array([float(found[players]) for players in sets])
            yield row_of(problem, key, values, (len(counted.asked), seconds))


class Counted:
    """A normalised game that counts the distinct coalitions it was asked for, and its own CPU seconds."""

    def __init__(self, game: Function, n: int) -> None:
        self.game, self.asked, self.seconds = game, set(), 0.0
        self.empty = float(game(np.zeros((1, n), dtype=bool))[0])

    def __call__(self, coalitions: np.ndarray) -> np.ndarray:
        """Values of 0/1 coalitions, counted from that of nobody."""
        start = time.process_time()
        masks = np.atleast_2d(coalitions).astype(bool)
        self.asked.update(row.tobytes() for row in masks)
        values = self.game(masks) - self.empty
        self.seconds += time.process_time() - start
        return values


def table() -> None:
    """Write results/large.md."""
    cells: dict[tuple, dict[str, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for row in csv.DictReader((HERE / "results" / "large.csv").open()):
        problem = (row["game"], int(row["n"]), int(row["budget"]), row["index"])
        numbers = [float(row[key] or "nan") for key in ("error", "top5", "spearman", "seconds")]
        cells[problem][row["method"]].append(numbers)
    text = (
        "| game, players, masks | index | method | error / variance | top 5 | Spearman | CPU s |\n"
    )
    text += "|---|---|---|---|---|---|---|\n"
    for (game, n, budget, index), methods in sorted(cells.items()):
        for method, rows in methods.items():
            error, top, spearman, seconds = np.mean(rows, axis=0)
            ranks = "" if np.isnan(spearman) else f"{spearman:.2f}"
            text += f"| {game}, {n}, {budget} | {index} | {method} "
            text += f"| {error:.3g} | {top:.1f} | {ranks} | {seconds:.1f} |\n"
    (HERE / "results" / "large.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
