"""Coverage of `auto`'s intervals of values with many players: see the README beside this file.

python analyses/benchmarks/calibration/many_players.py
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
from scipy.stats import norm

BENCHMARKS = Path(__file__).parent.parent
sys.path[:0] = [str(BENCHMARKS / name) for name in ("many_players", "walsh_gp", "decoders")]

from planted import planted
from run import network

from spex_mech.core.faithfulness import faithfulness
from spex_mech.decoders.decode import decode
from spex_mech.designs import uniform

LEVELS = (0.5, 0.8, 0.95)
SIZES = ((96, 316), (96, 632), (256, 1024))  # players and masks
SEED, TEST = 30, 2000


def main() -> None:
    """Print the share of new masks whose value is within the stated intervals."""
    print(
        "| game | players, masks | R² expected | R² | 50 % | 80 % | 95 % |\n|---|---|---|---|---|---|---|"
    )
    for name, make in (("planted", planted), ("network", network)):
        for n, m in SIZES:
            game, design = make(n, SEED), uniform(n, m, seed=1)
            masks = uniform(n, TEST, seed=77).masks
            spectrum, truth = decode(design, game(design.masks), seed=0), game(masks)
            z = np.abs(truth - spectrum(masks)) / spectrum.predict_std(masks)
            inside = [f"{np.mean(z < norm.ppf(0.5 + p / 2)):.2f}" for p in LEVELS]
            r2 = faithfulness(spectrum, masks, truth)
            cells = [name, f"{n}, {m}", f"{spectrum.info['r2_cv']:.2f}", f"{r2:.2f}", *inside]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
