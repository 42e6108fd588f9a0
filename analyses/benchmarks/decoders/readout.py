"""What the 200 terms that `auto` reads out lose against its full model: see the README beside this file.

python analyses/benchmarks/decoders/readout.py --games ../shared/games
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from spex_mech.core.faithfulness import faithfulness
from spex_mech.core.transform import walsh_hadamard
from spex_mech.decoders.decode import decode
from spex_mech.designs import exhaustive, uniform

TERMS = 200


def main() -> None:
    """Print the R² that the terms lose on the masks that were not sampled, at each budget."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=Path, required=True, help="folder of <game>.npz files")
    parser.add_argument("--budgets", type=int, nargs="+", default=[100, 200, 500, 2000])
    args = parser.parse_args()
    paths = sorted(args.games.glob("*.npz"))
    if not paths:
        sys.exit(f"no .npz games in {args.games}; give the folder of the value tables")
    own = np.array([loss_of_the_truth(path) for path in paths])
    print(
        f"the {TERMS} largest of all 2^n terms of the games themselves miss {own.mean():.4f} of their "
        f"variance on average, over .02 in {(own > 0.02).sum()} of {len(own)} games"
    )
    for budget in args.budgets:
        lost = np.array([loss(path, budget) for path in paths])
        print(
            f"{budget} masks: {lost.mean():.4f} of R² on average, {lost.max():.4f} at worst, "
            f"over .02 in {(lost > 0.02).sum()} of {len(lost)} games",
            flush=True,
        )


def loss_of_the_truth(path: Path) -> float:
    """Share of a game's variance outside its largest terms: nothing read out can lose less of it."""
    with np.load(path) as file:
        terms = walsh_hadamard(file["values"].astype(float))[1:]
    squares = np.sort(terms**2)[::-1]
    return float(squares[TERMS:].sum() / squares.sum())


def loss(path: Path, budget: int) -> float:
    """R² of the full model less R² of its terms."""
    with np.load(path) as file:
        table, n = file["values"].astype(float), int(file["n"])
    design = uniform(n, budget, seed=0)
    rows = design.masks @ (1 << np.arange(n))
    unseen = np.delete(np.arange(1 << n), rows)
    masks, truth = exhaustive(n).masks[unseen], table[unseen]
    spectrum = decode(design, table[rows], seed=0)
    terms = replace(spectrum, predictor=None)
    return faithfulness(spectrum, masks, truth) - faithfulness(terms, masks, truth)


if __name__ == "__main__":
    main()
