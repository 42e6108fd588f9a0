"""Prune the embedded model for each subject by every method at one budget, and compare on test questions.

    python analyses/head_pruning/run.py            everything that is missing, then tables and figures
    python analyses/head_pruning/run.py choose     only the kept sets
    python analyses/head_pruning/run.py sizes      only the size of ours, on validation questions
    python analyses/head_pruning/run.py score      only the test, of what has been chosen
    python analyses/head_pruning/run.py report     only tables and figures

What is done is kept in results/ and not done again; ``--again METHOD`` forgets a method's sets first.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import torch
from study import CONFIG, HERE, METHODS, Rows, Scores, game, mask_of

from spex_mech.core.errors import InputError
from spex_mech.pruning.compare import choose_all
from spex_mech.pruning.curve import PruningCurve
from spex_mech.pruning.methods import Remembered
from spex_mech.pruning.prune import OURS, Pruned
from spex_mech.pruning.size import choose_size

RESULTS = HERE / "results"


def main() -> None:
    """Do the stages asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="*", default=["choose", "sizes", "score", "report"])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=CONFIG["seeds"])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--again", nargs="+", default=[])
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.results.mkdir(parents=True, exist_ok=True)
    rows, scores = Rows(args.results / "choices.jsonl"), Scores(args.results / "scores")
    scores.folder.mkdir(exist_ok=True)
    for method in args.again:
        rows.drop(method)
        Rows(args.results / "sizes.jsonl").drop(method)
    if "choose" in args.stages:
        choose(rows, args.seeds, args.methods)
    if "sizes" in args.stages:
        choose_sizes(rows, Rows(args.results / "sizes.jsonl"), args.seeds)
    if "score" in args.stages:
        score(rows, scores, args.seeds)
    if "report" in args.stages:
        from report import write_report

        write_report(rows, scores, args.results)


def choose(
    rows: Rows,
    seeds: list[int],
    methods: list[str],
    *,
    budget: int = CONFIG["budget"],
    questions: str = "all",
) -> None:
    """Kept sets of every method at every size, on the search questions; see `choose_all`."""
    done = {(row["seed"], row["subject"], row["method"]) for row in rows}
    for seed in seeds:
        for subject in CONFIG["subjects"]:
            missing = [m for m in methods if (seed, subject, m) not in done]
            if not missing:
                continue
            asked = Remembered(game(subject, seed, "search"))
            for method in missing:
                began = time.process_time()
                choices = choose_all(
                    asked,
                    CONFIG["keeps"],
                    budget=budget,
                    seed=seed,
                    questions=questions,
                    methods={method: METHODS[method]},
                )
                seconds = round(time.process_time() - began, 1)
                kept = {c.keep: np.flatnonzero(c.mask).tolist() for c in choices}
                rows.add(
                    {"seed": seed, "subject": subject, "method": method, "kept": kept}
                    | {"spent": choices[0].ablations, "cpu_seconds": seconds}
                )
                say(f"seed {seed} {subject}: {method} in {seconds} s")


def choose_sizes(rows: Rows, sizes: Rows, seeds: list[int]) -> None:
    """The size of ours that the validation questions allow."""
    done = {(row["seed"], row["subject"]) for row in sizes}
    for row in rows:
        seed, subject = row["seed"], row["subject"]
        if row["method"] != OURS or seed not in seeds or (seed, subject) in done:
            continue
        masks = [mask_of(kept) for kept in row["kept"].values()]
        points = [Pruned(m, None, None, 0) for m in sorted(masks, key=lambda m: -m.sum())]
        try:
            keep = choose_size(
                PruningCurve(tuple(points), row["spent"]),
                game(subject, seed, "validation"),
                searched=game(subject, seed, "search"),
                metric="accuracy",
                tolerance=CONFIG["tolerance"],
            ).keep
        except InputError as error:
            if "no size of the curve passes" not in str(error):
                raise
            keep = 32
        sizes.add({"seed": seed, "subject": subject, "keep": keep, "method": OURS})
        say(f"seed {seed} {subject}: {keep} heads by validation")


def score(rows: Rows, scores: Scores, seeds: list[int]) -> None:
    """The test: every kept set once, and ours at some sizes on the other subjects' questions."""
    for seed in seeds:
        found = [row for row in rows if row["seed"] == seed]
        carried = [
            mask_of(row["kept"][str(keep)])
            for row in found
            if row["method"] == OURS
            for keep in CONFIG["transfer"]
        ]
        for subject in CONFIG["subjects"]:
            own = [
                mask_of(kept)
                for row in found
                if row["subject"] == subject
                for kept in row["kept"].values()
            ]
            if own:
                began = time.process_time()
                masks = np.stack([np.ones(32, dtype=bool), *own, *carried])
                scores.margins(subject, seed, masks)
                seconds = time.process_time() - began
                say(f"seed {seed} {subject}: {len(masks)} sets tested in {seconds:.0f} s")


def say(text: str) -> None:
    """Print a line with the time."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


if __name__ == "__main__":
    main()
