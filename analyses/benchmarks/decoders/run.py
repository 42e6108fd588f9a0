"""Compare decoders on complete games: see the README beside this file.

python analyses/benchmarks/decoders/run.py --games ../shared/games
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT"):  # before NumPy: seconds of one core
    os.environ.setdefault(_name, "1")

import numpy as np
from methods import OURS, PEERS, SLOW_PEERS, Method, Problem
from scores import COLUMNS, exact, score
from summary import write_summary

from spex_mech.designs import uniform
from spex_mech.errors import InputError

HERE = Path(__file__).parent
FIELDS = ("game", "n", "budget", "seed", "method", *COLUMNS, "terms", "cpu_seconds", "note")


def main() -> None:
    """Run the benchmark and write results.csv, summary.csv, summary.md and summary.png."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=Path, required=True, help="folder of <game>.npz files")
    parser.add_argument("--budgets", type=int, nargs="+", default=[100, 200, 500, 1000, 2000])
    parser.add_argument("--seeds", type=int, default=3, help="seeds of our methods")
    parser.add_argument("--peer-seeds", type=int, default=1, help="seeds of the peers; 0: no peers")
    parser.add_argument("--slow-games", type=int, default=4, help="games for the slowest peer")
    parser.add_argument("--limit", type=int, default=None, help="how many games, evenly chosen")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    paths = sorted(args.games.glob("*.npz"))
    if not paths:
        sys.exit(f"no .npz games in {args.games}; give the folder of the value tables")
    paths = _evenly(paths, args.limit)
    slow = set(_evenly(paths, args.slow_games))
    args.out.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore")  # the peers' own
    rows = []
    with (args.out / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        for path in paths:
            for row in run_game(path, args, path in slow):
                rows.append(row)
                writer.writerow(row)
                file.flush()
            print(f"{path.stem}: done", flush=True)
    write_summary(rows, args.out)
    print((args.out / "summary.md").read_text())


def run_game(path: Path, args: argparse.Namespace, slow: bool) -> Iterator[dict]:
    """All methods on one game: every method in turn on one set of masks, then the next set."""
    with np.load(path) as file:
        table, n = file["values"].astype(float), int(file["n"])
    truth = exact(table)
    for budget in args.budgets:
        for seed in range(args.seeds):
            problem = Problem(table, uniform(n, budget, seed=seed), seed)
            methods = dict(OURS)
            if seed < args.peer_seeds:
                methods |= PEERS | (SLOW_PEERS if slow else {})
            for name, method in methods.items():
                row = {"game": path.stem, "n": n, "budget": budget, "seed": seed, "method": name}
                yield row | _measure(name, method, problem, truth)


def _measure(name: str, method: Method, problem: Problem, truth: object) -> dict:
    try:
        if name not in _warm:  # imports and compilation are nobody's time
            _warm.add(name)
            method(problem)
        answer = method(problem)
    except InputError as error:  # a method that does not apply at this budget
        return {"note": str(error)}
    except ImportError as error:
        return {"note": f"not installed: {error}"}
    except Exception as error:  # a peer's failure is a result
        if name in OURS:
            raise
        return {"note": f"failed: {error!r}"[:200]}
    terms = "" if answer.spectrum is None else len(answer.spectrum)
    return {**score(answer, truth), "terms": terms, "cpu_seconds": answer.seconds}


_warm: set[str] = set()


def _evenly(items: list, count: int | None) -> list:
    if count is None or count >= len(items):
        return items
    return [items[i * len(items) // count] for i in range(count)]


if __name__ == "__main__":
    main()
