"""CPU seconds of one decoding by ``auto`` at the sizes of large circuits, on one thread; see the README.

python analyses/benchmarks/many_players/decoding_time.py --name decoding_time
"""

from __future__ import annotations

import argparse
import json
import os
import time
from functools import partial
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import run

from spex_mech.core.faithfulness import faithfulness
from spex_mech.decoders.decode import decode
from spex_mech.designs import biased

GAMES = {
    "planted": run.planted,
    "network": run.network,
    "sparse": partial(run.planted, sets=3),
}
SIZES = ((270, 1000), (300, 3000), (1024, 4000))  # players, masks
SEEDS = {"planted": 10, "network": 0, "sparse": 10}


def main() -> None:
    """Decode each game at each size and write ``NAME.json`` beside this file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--games", nargs="+", default=list(GAMES), choices=list(GAMES))
    parser.add_argument("--rates", type=float, nargs="+", default=[0.5, 0.85], help="keep rates")
    parser.add_argument("--sizes", type=int, nargs="+", default=[n for n, _ in SIZES])
    parser.add_argument("--name", default="decoding_time")
    args = parser.parse_args()
    rows = []
    for n, budget in (size for size in SIZES if size[0] in args.sizes):
        for name in args.games:
            game = GAMES[name](n, SEEDS[name])
            for rate in args.rates:
                row = {"game": name, "players": n, "masks": budget, "keep_rate": rate}
                rows.append(row | measure(game, n, budget, rate))
                print(rows[-1], flush=True)
    target: Path = run.HERE / f"{args.name}.json"
    target.write_text(json.dumps(rows, indent=1) + "\n")


def measure(game, n: int, budget: int, rate: float) -> dict[str, float]:
    """CPU seconds, R² on fresh masks, and the R² that the decoder expects."""
    design = biased(n, budget, keep_rate=rate, seed=0)
    values = game(design.masks)
    began = time.process_time()
    spectrum = decode(design, values, seed=0)
    seconds = time.process_time() - began
    test = biased(n, run.TEST, keep_rate=rate, seed=1000).masks
    r2 = faithfulness(spectrum, test, game(test))
    return {
        "cpu_seconds": round(seconds, 1),
        "r2": round(r2, 4),
        "r2_cv": round(spectrum.info["r2_cv"], 4),
    }


if __name__ == "__main__":
    main()
