"""Coverage of indices after uniform masks without the two ends, game by game, beside the jumps there.

python analyses/benchmarks/calibration/ends.py --games ../shared/games
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import run

from spex_mech.core.interactions import interactions
from spex_mech.core.transform import exact_spectrum
from spex_mech.decoders.decode import decode

WITHIN = 1.96


def main() -> None:
    """Write ends.md: a row for each game."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=Path, required=True, help="folder of <game>.npz files")
    parser.add_argument("--budget", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=run.HERE / "ends.md")
    args = parser.parse_args()
    paths = sorted(args.games.glob("*.npz"))
    if not paths:
        sys.exit(f"no .npz games in {args.games}; give the folder of the value tables")
    names = [index for index, _ in run.INDICES]
    text = f"{args.budget} masks, seed {args.seed}; jumps in units of the values' range.\n\n"
    text += "| game | jump at no players | at all | " + " | ".join(names) + " |\n"
    text += "|---|---|---|" + "---|" * len(names) + "\n"
    shares = []
    for path in paths:
        with np.load(path) as file:
            table, n = file["values"].astype(float), int(file["n"])
        jumps, found = of_game(table, n, args.budget, args.seed)
        shares.append(found)
        text += f"| {path.stem} | " + " | ".join(f"{x:.2f}" for x in (*jumps, *found)) + " |\n"
    text += "| mean | | | " + " | ".join(f"{x:.2f}" for x in np.mean(shares, axis=0)) + " |\n"
    args.out.write_text(text, encoding="utf-8")
    print(text)


def of_game(
    table: np.ndarray, n: int, budget: int, seed: int
) -> tuple[tuple[float, float], list[float]]:
    """How far the ends are from their predictions, and the share of each index within 95 % intervals."""
    design = run.DESIGNS["uniform"](n, budget, seed=seed)
    values = table[run._rows(design)]
    spectrum = decode(design, values, seed=seed)
    ends = spectrum(np.array([[False] * n, [True] * n]))
    empty, full = np.abs(table[[0, -1]] - ends) / np.ptp(values)
    truth, shares = exact_spectrum(table), []
    for index, order in run.INDICES:
        found = interactions(spectrum, index, order)
        z = run._of(found, interactions(truth, index, order).values)
        shares.append(float(np.mean(np.abs(z) < WITHIN)))
    return (float(empty), float(full)), shares


if __name__ == "__main__":
    main()
