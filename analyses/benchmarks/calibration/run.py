"""Coverage of the posterior's intervals on complete games: see the README beside this file.

python analyses/benchmarks/calibration/run.py --games ../shared/games
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
from scipy.stats import norm

from spex_mech.core.interactions import Interactions, interactions
from spex_mech.core.masks import all_masks, pack
from spex_mech.core.spectrum import Spectrum
from spex_mech.core.transform import exact_spectrum
from spex_mech.decoders.decode import decode
from spex_mech.designs import MaskDesign, leverage, uniform

HERE = Path(__file__).parent
LEVELS = (0.5, 0.8, 0.95)
INDICES = (("Banzhaf", 1), ("Shapley", 1), ("FBII", 2), ("SII", 2))
SIZED = (("Shapley", 1), ("SII", 2), ("STII", 2), ("FSII", 2))
ROUNDING = 1e-9
MASKS = 2000  # masks not sampled, of each game
Found = tuple[str, np.ndarray]


def main() -> None:
    """Measure the coverage at every budget and write results.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=Path, required=True, help="folder of <game>.npz files")
    parser.add_argument("--budgets", type=int, nargs="+", default=[100, 200, 500, 1000, 2000])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--methods", nargs="+", default=["walsh_gp", "stack"])
    parser.add_argument("--out", type=Path, default=HERE / "results.md")
    args = parser.parse_args()
    paths = sorted(args.games.glob("*.npz"))
    if not paths:
        sys.exit(f"no .npz games in {args.games}; give the folder of the value tables")
    cells: dict[tuple[str, str, int], list[list[float]]] = defaultdict(list)
    for path in paths:
        with np.load(path) as file:
            table, n = file["values"].astype(float), int(file["n"])
        for budget in args.budgets:
            for seed in range(args.seeds):
                for method in args.methods:
                    for name, z in deviations(table, n, budget, seed, method):
                        row = [float(np.mean(np.abs(z) < _bound(p))) for p in LEVELS]
                        cells[method, name, budget].append(row)
        print(f"{path.stem}: done", flush=True)
    text = _tables(cells, args.methods, args.budgets, len(paths), args.seeds)
    args.out.write_text(text, encoding="utf-8")
    print(text)


def deviations(table: np.ndarray, n: int, budget: int, seed: int, method: str) -> Iterator[Found]:
    """Errors in units of their stated standard deviation, by what is estimated."""
    truth = exact_spectrum(table)
    design = uniform(n, budget, seed=seed)
    spectrum = _decode(table, design, method, seed)
    sampled = np.zeros(len(table), dtype=bool)
    sampled[_rows(design)] = True
    rest = np.flatnonzero(~sampled)
    rest = np.random.default_rng(seed).permutation(rest)[:MASKS]
    masks = all_masks(n)[rest]
    yield (
        "values of masks not sampled",
        _ratio(table[rest] - spectrum(masks), spectrum.predict_std(masks)),
    )
    error = np.array([truth[s] for s in spectrum.supports]) - spectrum.coefficients
    z = _ratio(error, spectrum.std)
    yield "all coefficients read out", z
    largest = np.argsort(-np.abs(spectrum.coefficients))[:21]
    yield "the 20 largest coefficients", z[largest]
    for index, order in INDICES:
        found = interactions(spectrum, index, order)
        yield f"{index} of order {order}", _of(found, interactions(truth, index, order).values)
    ended = _decode(table, uniform(n, budget, ends=True, seed=seed), method, seed)
    sized = _decode(table, leverage(n, budget, seed=seed), method, seed)
    for spectrum, indices, label in (
        (ended, INDICES, "uniform masks and the two ends"),
        (sized, SIZED, "masks of all sizes"),
    ):
        for index, order in indices:
            found = interactions(spectrum, index, order)
            z = _of(found, interactions(truth, index, order).values)
            yield f"{index} of order {order}, {label}", z


def _decode(table: np.ndarray, design: MaskDesign, method: str, seed: int) -> Spectrum:
    return decode(design, table[_rows(design)], method=method, seed=seed)


def _rows(design: MaskDesign) -> np.ndarray:
    return pack(design.masks)[:, 0].astype(np.int64)


def _of(found: Interactions, truth: Mapping[tuple[int, ...], float]) -> np.ndarray:
    error = np.array([truth.get(s, 0.0) - v for s, v in found.values.items()])
    size = max(map(abs, truth.values()))
    error[np.abs(error) < ROUNDING * size] = 0.0  # known exactly, and so is their deviation of 0
    return _ratio(error, np.array(list((found.std or {}).values())))


def _ratio(error: np.ndarray, std: np.ndarray | None) -> np.ndarray:
    return error / np.maximum(std, 1e-300)


def _bound(level: float) -> float:
    return float(norm.ppf(0.5 + level / 2))


def _tables(cells: dict, methods: list[str], budgets: list[int], games: int, seeds: int) -> str:
    text = f"{games} games, {seeds} seeds; mean over problems of the share inside the interval.\n"
    for method in methods:
        text += f"\n## {method}\n\n| what | nominal | " + " | ".join(map(str, budgets)) + " |\n"
        text += "|---|---|" + "---|" * len(budgets) + "\n"
        for name in dict.fromkeys(k[1] for k in cells if k[0] == method):
            for k, level in enumerate(LEVELS):
                shares = [np.mean([r[k] for r in cells[method, name, b]]) for b in budgets]
                row = " | ".join(f"{s:.2f}" for s in shares)
                text += f"| {name} | {level:.2f} | {row} |\n"
    return text


if __name__ == "__main__":
    main()
