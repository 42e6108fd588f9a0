"""Rules by which residuals are reused for masks that were not drawn: see the README beside this file.

python analyses/benchmarks/indices/reuse.py noise
python analyses/benchmarks/indices/reuse.py games --games ../shared/games
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import scores

from spex_mech.core.evidence import Evidence
from spex_mech.core.index_functional import IndexFunctional
from spex_mech.core.index_values import Indexed, table_index_values
from spex_mech.core.masks import pack
from spex_mech.core.packed import pack_players
from spex_mech.decoders.decode import decode
from spex_mech.designs import leverage

# The factor of the estimate, from its square and the squares of the same residuals under random signs.
Rule = Callable[[float, np.ndarray], float]
RULES: Mapping[str, Rule] = {
    "without reuse": lambda square, chance: 0.0,
    "full estimate": lambda square, chance: 1.0,
    "1 - variance / square": lambda square, chance: max(0.0, 1.0 - chance.mean() / square),
    "1 - 1.5 variance / square": lambda square, chance: max(
        0.0, 1.0 - 1.5 * chance.mean() / square
    ),
    "sharp test": lambda square, chance: (
        1.0 - chance.mean() / square if square > np.quantile(chance, 0.99) else 0.0
    ),
    "now": lambda square, chance: max(0.0, 1.0 - np.quantile(chance, 0.99) / square),
}
NOISE = (
    ("Shapley", 1, 10, 120),
    ("Shapley", 1, 14, 500),
    ("SII", 2, 10, 120),
    ("Banzhaf", 1, 14, 100),
    ("Banzhaf", 1, 14, 500),
)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("table", choices=["noise", "games"])
    parser.add_argument("--repeats", type=int, default=200, help="games of noise")
    parser.add_argument("--games", type=Path, help="folder of <game>.npz files")
    parser.add_argument("--budgets", type=int, nargs="+", default=[200, 500, 1000])
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.table == "noise":
        noise(args.repeats)
    elif args.games is None:
        parser.error("--games: give the folder of the value tables")
    else:
        games(args.games, args.budgets, args.seed)


def noise(repeats: int) -> None:
    """Squared error over that without reuse, where the game is independent normal values."""
    print("| index | players, masks | " + " | ".join(RULES) + " |")
    print("|---|---|" + "---|" * len(RULES))
    for index, size, n, m in NOISE:
        functional = IndexFunctional(index, size)
        sets = np.array(list(combinations(range(n), size)))
        rng, errors = np.random.default_rng(5), []
        for seed in range(repeats):
            masks, table = leverage(n, m, seed=seed).masks, rng.normal(size=1 << n)
            truth = table_index_values(table, pack_players(sets, n), functional)
            evidence = Evidence(masks, table[rows_of(masks)], alike=True)
            found = by_rule(evidence, sets, functional)
            errors.append([np.sum((values - truth) ** 2) for values in found])
        ratios = np.mean(errors, axis=0) / np.mean(errors, axis=0)[0]
        print(
            f"| {index} | {n}, {m} | " + " | ".join(f"{r:.2f}" for r in ratios) + " |", flush=True
        )


def games(folder: Path, budgets: list[int], seed: int) -> None:
    """Error over that without reuse, geometric mean over every second game and over the others."""
    print("| index | masks | games | " + " | ".join(RULES) + " |")
    print("|---|---|---|" + "---|" * len(RULES))
    for budget in budgets:
        logs: dict[str, list[np.ndarray]] = {"SV": [], "SII": [], "BII": []}
        for game in scores.games(folder):
            design = leverage(game.n, budget, seed=seed)
            spectrum = decode(design, game.table[rows_of(design.masks)], seed=seed)
            model, evidence = spectrum.predictor, spectrum.evidence
            assert isinstance(model, Indexed) and isinstance(evidence, Evidence)
            for task, errors in logs.items():
                index, order, size = scores.TASKS[task]
                functional, sets = IndexFunctional(index, order), game.sets(size)
                values = model.index_values(pack_players(sets, game.n), functional)
                found = np.array(by_rule(evidence, sets, functional)) + values
                squares = np.mean((found - game.truth(task)) ** 2, axis=1)
                errors.append(np.log(squares / squares[0]))
        for task, errors in logs.items():
            for name, start in (("to choose", 0), ("others", 1)):
                ratios = np.exp(np.mean(errors[start::2], axis=0))
                cells = " | ".join(f"{r:.2f}" for r in ratios)
                print(f"| {task} | {budget} | {name} | {cells} |", flush=True)


def by_rule(evidence: Evidence, sets: np.ndarray, functional: IndexFunctional) -> list[np.ndarray]:
    """The correction of an index by each rule."""
    known, others, chance = evidence.parts(sets, functional)
    square = float(others @ others)
    return [known + rule(square, chance) * others if square else known for rule in RULES.values()]


def rows_of(masks: np.ndarray) -> np.ndarray:
    """The place of masks in a table of values."""
    return pack(masks)[:, 0].astype(np.int64)


if __name__ == "__main__":
    main()
