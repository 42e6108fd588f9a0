"""Shapley values and SII of games of 32 to 1,000 players, ours and shapiq's: see the README beside this file.

python analyses/benchmarks/indices/large.py ours
peers/bin/python analyses/benchmarks/indices/large.py peers
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
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent / "walsh_gp")]

from planted import planted

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
)
BUDGETS = {32: (300, 1000), 100: (1000,), 300: (3000,), 1000: (2500,)}
PLANTED_SEED = 20
LIMIT = 240  # seconds, after which a peer is given up
REFERENCE = HERE / "results" / "heads_reference.json"
Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Problem:
    """A game and its indices: of players (n,), and of pairs in lexicographic order if they are known."""

    name: str
    n: int
    game: Function
    shapley: np.ndarray
    pairs: np.ndarray | None


def main() -> None:
    """Append to results/large.csv, or write results/large.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("side", choices=["ours", "peers", "table", "reference"])
    parser.add_argument("--players", type=int, nargs="+", default=list(BUDGETS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--games", nargs="+", default=["planted", "heads"])
    parser.add_argument(
        "--methods", nargs="+", default=["auto", "walsh_gp"], help="decoders of ours"
    )
    parser.add_argument("--skip", nargs="*", default=[], help="names of peers to leave out")
    args = parser.parse_args()
    if args.side == "table":
        return table()
    if args.side == "reference":
        return reference()
    warnings.simplefilter("ignore")
    path = HERE / "results" / "large.csv"
    rows = list(csv.DictReader(path.open())) if path.exists() else []
    done = {tuple(row[key] for key in FIELDS[:6]) for row in rows}
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if not rows:
            writer.writeheader()
        for seed in args.seeds:
            for problem in problems(args.games, args.players, seed):
                for budget in BUDGETS[problem.n]:
                    if args.side == "ours":
                        found = ours(problem, budget, seed, args.methods, done)
                    else:
                        found = peers(problem, budget, seed, args.skip, done)
                    for row in found:
                        writer.writerow(row)
                        file.flush()
                        print(*row.values(), flush=True)
    return None


def problems(games: list[str], players: list[int], seed: int) -> Iterator[Problem]:
    """Planted games of a seed with known terms, and the heads of the embedded model with a long reference."""
    for n in players if "planted" in games else []:
        terms = planted(n, PLANTED_SEED + seed)
        shapley = interactions(terms, "Shapley", 1, terms="readout").values
        pairs = interactions(terms, "SII", 2, terms="readout").values
        yield Problem(
            "planted", n, terms, of_sets(shapley, combinations(range(n), 1)),
            of_sets(pairs, combinations(range(n), 2)),
        )  # fmt: skip
    if "heads" in games and 32 in players and REFERENCE.exists():
        known = json.loads(REFERENCE.read_text())
        yield Problem("heads", 32, heads(), np.array(known["shapley"]), None)


def heads() -> Function:
    """The 32 heads of the embedded model: mean log-probability of the right answers to 24 questions."""
    import spex_mech as sm

    model = sm.load_model("embedded")
    task = sm.load_task("embedded/people").first(24)
    return sm.TaskGame(
        model, task, sm.select_players(model, "heads"), split="search", metric="logprob"
    )


def reference(masks: int = 6000, fitted: int = 1500) -> None:
    """Shapley values of the heads by a large sample: those of a model, corrected without bias by other masks.

    The model is fitted to some masks. What it misses is estimated from its errors at others, whose size is
    drawn from 1 to n - 1, by the weights that Shapley values have: (n - 1) / size for a player that is
    present, and -(n - 1) / (n - size) for one that is not. Its mean does not depend on the model.
    """
    import spex_mech as sm

    game, n = heads(), 32
    first = sm.designs.leverage(n, fitted, seed=777)
    spectrum = sm.decode(first, game(first.masks), method="walsh_gp", seed=0)
    index = interactions(replace(spectrum, evidence=None), "Shapley", 1).values
    rng = np.random.default_rng(778)
    sizes = rng.integers(1, n, size=masks)[:, None]
    drawn = rng.permuted(np.arange(n) < sizes, axis=1)
    ends = np.array([[False] * n, [True] * n])
    of_nobody, of_all = game(ends) - spectrum(ends)
    weights = (n - 1) * np.where(drawn, 1.0 / sizes, -1.0 / (n - sizes))
    draws = weights * (game(drawn) - spectrum(drawn))[:, None]
    found = (
        of_sets(index, combinations(range(n), 1)) + (of_all - of_nobody) / n + draws.mean(axis=0)
    )
    error = draws.std(axis=0) / np.sqrt(masks)
    REFERENCE.write_text(
        json.dumps({"shapley": found.tolist(), "standard_error": error.tolist()}, indent=1) + "\n"
    )
    print("variance", found.var(), "mean squared standard error", float(np.mean(error**2)))


def of_sets(values: Mapping, sets: Iterable[tuple[int, ...]]) -> np.ndarray:
    """The values of some sets, 0 where there is none."""
    return np.array([float(values.get(players, 0.0)) for players in sets])


def truths(problem: Problem) -> Iterator[tuple[str, int, np.ndarray]]:
    """The name, order and exact values of each index that is known."""
    yield "SV", 1, problem.shapley
    if problem.pairs is not None:
        yield "SII", 2, problem.pairs


def row_of(problem: Problem, key: tuple, found: np.ndarray, truth: np.ndarray, cost: tuple) -> dict:
    """A line of the results: mean squared error over the variance of the truth, and the top five found."""
    error = float(np.mean((found - truth) ** 2) / truth.var())
    top = [set(np.argsort(-np.abs(v), kind="stable")[:5].tolist()) for v in (found, truth)]
    numbers = (f"{error:.4g}", len(top[0] & top[1]) / 5, cost[0], f"{cost[1]:.2f}")
    return dict(zip(FIELDS, (problem.name, problem.n, *key, *numbers), strict=True))


def ours(problem: Problem, budget: int, seed: int, methods: list[str], done: set) -> Iterator[dict]:
    """Leverage masks, decoded; the indices of the whole model."""
    from spex_mech.decoders.decode import decode
    from spex_mech.designs import leverage

    for method in methods:
        name = f"spex_mech {method}"
        if (problem.name, str(problem.n), str(budget), str(seed), name, "SV") in done:
            continue
        design = leverage(problem.n, budget, seed=seed)
        values = problem.game(design.masks)
        start = time.process_time()
        spectrum = decode(design, values, method=method, seed=seed)
        fitting = time.process_time() - start
        for index, order, truth in truths(problem):
            start = time.process_time()
            kind = "Shapley" if index == "SV" else index
            found = interactions(spectrum, kind, order).values
            seconds = fitting + time.process_time() - start
            values_of = of_sets(found, combinations(range(problem.n), order))
            yield row_of(
                problem, (budget, seed, name, index), values_of, truth, (len(design), seconds)
            )


def peers(problem: Problem, budget: int, seed: int, skip: list[str], done: set) -> Iterator[dict]:
    """The estimators of shapiq that run within the limit."""
    from peers import methods

    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {LIMIT} s")

    signal.signal(signal.SIGALRM, stop)
    for index, order, truth in truths(problem):
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
            sets = combinations(range(problem.n), order)
            values = np.array([float(found[players]) for players in sets])
            yield row_of(problem, key, values, truth, (len(counted.asked), seconds))


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
        numbers = [float(row[key]) for key in ("error", "top5", "seconds")]
        cells[problem][row["method"]].append(numbers)
    text = "| game, players, masks | index | method | error / variance | top 5 | CPU s |\n"
    text += "|---|---|---|---|---|---|\n"
    for (game, n, budget, index), methods in sorted(cells.items()):
        for method, rows in methods.items():
            error, top, seconds = np.mean(rows, axis=0)
            text += f"| {game}, {n}, {budget} | {index} | {method} "
            text += f"| {error:.3g} | {top:.1f} | {seconds:.1f} |\n"
    (HERE / "results" / "large.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
