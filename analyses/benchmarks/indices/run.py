"""Our interaction indices on complete games: see the README beside this file.

python analyses/benchmarks/indices/run.py --games ../shared/games
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import scores

from spex_mech.core.interactions import interactions
from spex_mech.core.masks import pack
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.decode import decode
from spex_mech.designs import leverage, stratified

HERE = Path(__file__).parent
DESIGNS = {"leverage": leverage, "stratified": stratified}


def main() -> None:
    """Decode every game at every budget and append to results/ours.csv."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=Path, required=True, help="folder of <game>.npz files")
    parser.add_argument("--budgets", type=int, nargs="+", default=[100, 200, 500, 1000, 2000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--designs", nargs="+", default=["leverage"], choices=list(DESIGNS))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "ours.csv")
    args = parser.parse_args()
    args.out.parent.mkdir(exist_ok=True)
    done = set()
    if args.out.exists():
        done = {tuple(line.split(",")[:3]) for line in args.out.read_text().splitlines()}
    else:
        args.out.write_text(scores.COLUMNS + "\n")
    for seed in args.seeds:
        for budget in args.budgets:
            for game in scores.games(args.games):
                if (game.name, str(budget), str(seed)) in done:
                    continue
                lines = [
                    line for kind in args.designs for line in problem(game, budget, seed, kind)
                ]
                with args.out.open("a") as file:
                    file.write("\n".join(lines) + "\n")
            print(f"seed {seed}, {budget} masks: done", flush=True)


def problem(game: scores.Game, budget: int, seed: int, kind: str) -> Iterator[str]:
    """The lines of one game at one budget: the index as it is, without evidence, and of 200 terms."""
    design = DESIGNS[kind](game.n, budget, seed=seed)
    rows = pack(design.masks)[:, 0].astype(np.int64)
    start = time.process_time()
    spectrum = decode(design, game.table[rows], seed=seed)
    fitting = time.process_time() - start
    ways = {
        "spex_mech": (spectrum, "whole"),
        "spex_mech without evidence": (replace(spectrum, evidence=None), "whole"),
        "spex_mech 200 terms": (spectrum, "readout"),
    }
    for task in scores.TASKS:
        truth = game.truth(task)
        for name, (model, terms) in ways.items():
            start = time.process_time()
            found = compared(game, task, model, terms)
            seconds = fitting + time.process_time() - start
            label = name if kind == "leverage" else f"{name} ({kind})"
            key = (game.name, budget, seed, label, task)
            yield scores.row(key, scores.compare(found, truth), len(np.unique(rows)), seconds)


def compared(game: scores.Game, task: str, spectrum: Spectrum, terms: str) -> np.ndarray:
    """The index of all sets of the size that the task compares."""
    index, order, size = scores.TASKS[task]
    values = interactions(spectrum, index, order, terms=terms).values
    return np.array([values.get(tuple(s), 0.0) for s in game.sets(size).tolist()])


if __name__ == "__main__":
    main()
