"""How many masks do SPEX, ProxySPEX and auto need for the same R²? See the README beside this file.

    python analyses/fewer_ablations/run.py --games ../shared/games
    python analyses/fewer_ablations/run.py --kinds planted --players 1000

What is in the results is not measured again.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parent), str(HERE.parent / "benchmarks" / "walsh_gp")]

from figures import KINDS, write
from paper import parse
from planted import planted
from table_rows import append, read

import spex_mech as sm
from spex_mech.core.masks import pack

BEFORE = HERE.parent / "benchmarks" / "decoders" / "results" / "results.csv"
SUBJECTS = ("boxes", "people", "moves")
FRESH = 1000
BUDGETS = {
    ("real", "spex"): [500, 1000, 2000, 4000, 8000],
    ("heads", "spex"): [800, 1600, 3200, 6400, 12800],
    ("heads", "proxyspex"): [50, 100, 200, 400, 800, 1600],
    ("heads", "auto"): [50, 100, 200, 400, 800],
    ("planted", "spex"): [2000 * 2**i for i in range(8)],  # to 256,000
    ("planted", "proxyspex"): [250, 500, 1000, 2000, 4000, 8000],
    ("planted", "auto"): [250, 500, 1000, 2000],
}


def main() -> None:
    """Measure what is not in the results yet, and write the tables and the figure."""
    args = arguments()
    torch.set_num_threads(1)
    for kind, name, n, game, truth in games(args):
        for (of_kind, method), budgets in BUDGETS.items():
            if of_kind == kind and method in args.methods:
                for budget in budgets:
                    if budget <= args.most:
                        measure(args, (kind, name, str(n), method, str(budget)), game, truth)
    rows = read(args.results)
    if any(r["kind"] == "real" for r in rows):
        rows += before()
    print(write(rows, args.results.parent))


def measure(
    args: argparse.Namespace,
    key: tuple[str, str, str, str, str],
    game: Callable[[np.ndarray], np.ndarray],
    truth: tuple[np.ndarray, np.ndarray],
) -> None:
    """R² of one method with one budget on the held-out masks."""
    _, _, players, method, budget = key
    names = ("kind", "game", "n", "method", "budget")
    if any(tuple(r[x] for x in names) == key for r in read(args.results)):
        return
    n, most = int(players), int(budget)
    try:
        design = (
            sm.designs.spex(n, most, seed=0)
            if method == "spex"
            else sm.designs.uniform(n, most, seed=0)
        )
    except sm.InputError as error:  # SPEX has a smallest design
        print(*key, error, flush=True)
        return
    values = game(design.masks)
    began = time.process_time()
    spectrum = sm.decode(design, values, method=method, seed=0)
    cpu = time.process_time() - began
    r2 = sm.faithfulness(spectrum, *truth)
    row = dict(zip(names, key, strict=True)) | {"masks": len(design), "r2": round(r2, 4)}
    append(args.results, row | {"cpu": round(cpu, 2)})
    print(*key, len(design), f"R² {r2:.3f}, {cpu:.1f} s", flush=True)


def games(args: argparse.Namespace) -> Iterator[tuple]:
    """Kind, name, players, value function, and held-out masks with their values."""
    if "real" in args.kinds and args.games:
        for path in sorted(args.games.glob("*.npz")):
            table = np.load(path)["values"]
            yield "real", path.stem, *_held_out(int(np.log2(len(table))), Table(table))
    if "heads" in args.kinds:
        model = sm.load_model("embedded")
        players = sm.select_players(model, "heads")
        for subject in args.subjects:
            task = sm.load_task(f"embedded/{subject}").first(args.questions)
            game = sm.TaskGame(model, task, players, metric="margin")
            yield "heads", subject, *_held_out(players.n, game)
    if "planted" in args.kinds:
        for n in args.players:
            for seed in range(args.seeds):
                yield "planted", f"planted {seed}", *_held_out(n, planted(n, seed))


def _held_out(n: int, game: Callable) -> tuple[int, Callable, tuple[np.ndarray, np.ndarray]]:
    masks = sm.designs.uniform(n, FRESH, seed=1_000_003).masks
    return n, game, (masks, np.asarray(game(masks)))


class Table:
    """A complete game."""

    def __init__(self, table: np.ndarray) -> None:
        self._table = table

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """Values of masks."""
        return self._table[pack(masks)[:, 0].astype(np.int64)]


def before() -> list[dict[str, str]]:
    """What analyses/benchmarks/decoders has measured of the complete games, means over its seeds."""
    found: dict[tuple[str, str, str, str], list[float]] = {}
    with BEFORE.open(newline="", encoding="utf-8") as file:
        for r in csv.DictReader(file):
            if r["method"] in ("auto", "proxyspex") and r["r2"]:
                key = (r["game"], r["n"], r["method"], r["budget"])
                found.setdefault(key, []).append(float(r["r2"]))
    names = ("game", "n", "method", "masks")
    return [
        {"kind": "real", **dict(zip(names, key, strict=True)), "r2": str(np.mean(values))}
        for key, values in found.items()
    ]


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--games", type=Path, help="folder of complete games (.npz)")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--subjects", nargs="+", default=list(SUBJECTS))
    parser.add_argument("--questions", type=int, default=10)
    parser.add_argument("--players", type=int, nargs="+", default=[64, 256, 1000])
    parser.add_argument("--seeds", type=int, default=2, help="planted games of each size")
    parser.add_argument("--methods", nargs="+", default=["spex", "proxyspex", "auto"])
    parser.add_argument("--most", type=int, default=64000, help="largest number of masks")
    parser.add_argument("--results", type=Path, default=HERE / "results.csv")
    return parse(
        parser,
        "the paper's sizes: games of 128 to 1,024 players and up to 256,000 masks",
        kinds=["planted"],
        players=[128, 256, 512, 1024],
        most=256_000,
        results=HERE / "paper" / "results.csv",
    )


if __name__ == "__main__":
    main()
