"""Planted games of 300 players: our decoders and shapiq 1.8 on the same masks; see the README.

peers/bin/python analyses/benchmarks/many_players/against_shapiq.py
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np

HERE = Path(__file__).parent
sys.path += [str(HERE.parents[2]), str(HERE.parent / "walsh_gp"), str(HERE.parent / "decoders")]

from methods import proxyshap_trees, shapiq_proxyspex
from planted import planted

from spex_mech.core.faithfulness import faithfulness
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.decode import decode
from spex_mech.designs import MaskDesign, biased

KEYS = ("sets", "players", "masks", "seed")
FIELDS = (*KEYS, "method", "r2", "cpu_seconds")
SETS = {"sparse": 3, "planted": 40}
TEST = 2000
SHIPPED, TREES, PROXYSHAP = (
    "shapiq ProxySPEX",
    "shapiq ProxySPEX, no refit",
    "shapiq ProxySHAP trees",
)


def main() -> None:
    """Append what against_shapiq.csv lacks, and write against_shapiq.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--players", type=int, default=300)
    parser.add_argument("--masks", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11], help="of the games")
    parser.add_argument("--games", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    path = args.out / "against_shapiq.csv"
    rows = list(csv.DictReader(path.open())) if path.exists() else []
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if not rows:
            writer.writeheader()
        for name in args.games:
            for seed in args.seeds:
                key = dict(
                    zip(KEYS, map(str, (SETS[name], args.players, args.masks, seed)), strict=True)
                )
                done = {r["method"] for r in rows if key == {name: r[name] for name in KEYS}}
                for found in measure(SETS[name], args.players, args.masks, seed, done):
                    rows.append(key | found)
                    writer.writerow(rows[-1])
                    file.flush()
                    print(*rows[-1].values(), flush=True)
    (args.out / "against_shapiq.md").write_text(table(rows))


def measure(sets: int, n: int, budget: int, seed: int, done: set[str]) -> Iterator[dict[str, str]]:
    """R² on fresh masks and CPU seconds of each method that is not done."""
    game = planted(n, seed, sets=sets)
    design = biased(n, budget, keep_rate=0.5, seed=seed)
    test = biased(n, TEST, keep_rate=0.5, seed=1000 + seed).masks
    for method in ("auto", "walsh_gp", "proxyspex", PROXYSHAP, SHIPPED):
        if method not in done:
            for name, spectrum, seconds in fits(method, design, game(design.masks), seed):
                r2 = "" if spectrum is None else f"{faithfulness(spectrum, test, game(test)):.4f}"
                yield {"method": name, "r2": r2, "cpu_seconds": f"{seconds:.2f}"}


def fits(
    method: str, design: MaskDesign, values: np.ndarray, seed: int
) -> Iterator[tuple[str, Spectrum | None, float]]:
    """What a method finds; shapiq's ProxySPEX gives its terms before and after the refit."""
    if method == SHIPPED:
        found = shapiq_proxyspex(design, lambda masks: values, seed)
        yield TREES, found.trees, found.trees_seconds
        yield SHIPPED, found.refitted, found.seconds
        return
    start = time.process_time()
    if method == PROXYSHAP:
        spectrum = proxyshap_trees(design, values, seed)
    else:
        spectrum = decode(design, values, method=method, seed=seed)
    yield method, spectrum, time.process_time() - start


def table(rows: list[dict[str, str]]) -> str:
    """Means over the seeds."""
    cells: dict[tuple[str, ...], dict[str, list[list[float]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in rows:
        if row["r2"]:
            problem = tuple(row[key] for key in KEYS[:3])
            cells[problem][row["method"]].append([float(row["r2"]), float(row["cpu_seconds"])])
    text = "| sets, players, masks | method | games | R² | lowest | CPU s |\n|---|---|---|---|---|---|\n"
    for problem, methods in cells.items():
        for method, found in methods.items():
            r2, seconds = np.array(found).T
            text += f"| {', '.join(problem)} | {method} | {len(r2)} | {r2.mean():.3f} "
            text += f"| {r2.min():.3f} | {seconds.mean():.1f} |\n"
    return text


if __name__ == "__main__":
    main()
