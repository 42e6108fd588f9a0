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
from dataclasses import replace
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT"):  # before NumPy: seconds of one core
    os.environ.setdefault(_name, "1")

import numpy as np
from methods import METHODS, OURS, Method, Problem
from scores import COLUMNS, exact, score
from summary import write_summary

from spex_mech.core.errors import InputError
from spex_mech.designs import uniform

HERE = Path(__file__).parent
FIELDS = ("game", "n", "budget", "seed", "method", *COLUMNS, "terms", "cpu_seconds", "note")
KEYS = ("game", "budget", "seed", "method")


def main() -> None:
    """Run the benchmark and write results.csv, summary.csv, summary.md and summary.png."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=Path, required=True, help="folder of <game>.npz files")
    parser.add_argument("--budgets", type=int, nargs="+", default=[100, 200, 500, 1000, 2000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--limit", type=int, default=None, help="how many games, evenly chosen")
    parser.add_argument("--missing", action="store_true", help="only fits that results.csv lacks")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    paths = sorted(args.games.glob("*.npz"))
    if not paths:
        sys.exit(f"no .npz games in {args.games}; give the folder of the value tables")
    args.out.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore")  # the peers' own
    path = args.out / "results.csv"
    rows = _kept(path, {p.stem for p in _evenly(paths, args.limit)}, args)
    done = {tuple(row[key] for key in KEYS) for row in rows}
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)
        for seed in args.seeds:
            for game in _evenly(paths, args.limit):
                for row in run_game(game, seed, args, done):
                    rows.append(row)
                    writer.writerow(row)
                    file.flush()
            print(f"seed {seed}: done", flush=True)
    write_summary(rows, args.out)
    print((args.out / "summary.md").read_text())


def run_game(path: Path, seed: int, args: argparse.Namespace, done: set[tuple]) -> Iterator[dict]:
    """All methods on one game that are not done: every one in turn on one set of masks, then the next set."""
    with np.load(path) as file:
        table, n = file["values"].astype(float), int(file["n"])
    truth = exact(table)
    for budget in args.budgets:
        problem = Problem(table, uniform(n, budget, seed=seed), seed)
        for name in args.methods:
            row = {"game": path.stem, "n": n, "budget": budget, "seed": seed, "method": name}
            if tuple(row[key] for key in KEYS) not in done:
                yield row | _measure(name, METHODS[name], problem, truth)


def _kept(path: Path, games: set[str], args: argparse.Namespace) -> list[dict]:
    """The rows of an earlier run that this one does not measure again."""
    if not path.exists():
        return []
    with path.open() as file:
        rows = [
            {
                key: _number(value) if key not in ("game", "method", "note") else value
                for key, value in row.items()
            }
            for row in csv.DictReader(file)
        ]
    return [
        row
        for row in rows
        if args.missing
        or row["game"] not in games
        or row["budget"] not in args.budgets
        or row["seed"] not in args.seeds
        or row["method"] not in args.methods
    ]


def _number(text: str) -> int | float | str:
    if text == "":
        return text
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _measure(name: str, method: Method, problem: Problem, truth: object) -> dict:
    try:
        if name not in _warm:  # imports and compilation are nobody's time
            _warm.add(name)
            method(replace(problem))
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
    measured = {**score(answer, truth), "cpu_seconds": answer.seconds}
    return {k: v if v == "" else round(v, 5) for k, v in measured.items()} | {"terms": terms}


_warm: set[str] = set()


def _evenly(items: list, count: int | None) -> list:
    if count is None or count >= len(items):
        return items
    return [items[i * len(items) // count] for i in range(count)]


if __name__ == "__main__":
    main()
