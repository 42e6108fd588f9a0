"""Coverage of the posterior's intervals on complete games: see the README beside this file.

python analyses/benchmarks/calibration/run.py --games ../shared/games
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import product
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
INDICES = (
    ("Banzhaf", 1),
    ("Shapley", 1),
    ("FBII", 2),
    ("SII", 2),
    ("STII", 2),
    ("FSII", 2),
)
DESIGNS = {"uniform": uniform, "ends": partial(uniform, ends=True), "leverage": leverage}
LABELS = {
    "uniform": "",
    "ends": ", uniform masks and the two ends",
    "leverage": ", masks of all sizes",
}
ROUNDING = 1e-9
MASKS = 2000  # masks not sampled, of each game
Found = tuple[str, np.ndarray]


def main() -> None:
    """Measure the coverage at every budget and write results.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=Path, required=True, help="folder of <game>.npz files")
    parser.add_argument("--budgets", type=int, nargs="+", default=[100, 200, 500, 1000, 2000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--methods", nargs="+", default=["walsh_gp", "stack"])
    parser.add_argument("--designs", nargs="+", default=list(DESIGNS), choices=list(DESIGNS))
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
            for seed, method, kind in product(args.seeds, args.methods, args.designs):
                design = DESIGNS[kind](n, budget, seed=seed)
                for name, z in deviations(table, design, LABELS[kind], seed, method):
                    row = [float(np.mean(np.abs(z) < _bound(p))) for p in LEVELS]
                    cells[method, name, budget].append(row)
        print(f"{path.stem}: done", flush=True)
    text = _tables(cells, args.methods, args.budgets, len(paths), len(args.seeds))
    args.out.write_text(text, encoding="utf-8")
    print(text)


def deviations(
    table: np.ndarray, design: MaskDesign, label: str, seed: int, method: str
) -> Iterator[Found]:
    """Errors in units of their stated standard deviation, by what is estimated from which masks."""
    truth = exact_spectrum(table)
    spectrum = decode(design, table[_rows(design)], method=method, seed=seed)
    if not label:
        yield from of_model(table, truth, spectrum, _rows(design), seed)
    for index, order in INDICES:
        found = interactions(spectrum, index, order)
        z = _of(found, interactions(truth, index, order).values)
        yield f"{index} of order {order}{label}", z


def of_model(
    table: np.ndarray, truth: Spectrum, spectrum: Spectrum, rows: np.ndarray, seed: int
) -> Iterator[Found]:
    """The same of values of masks that were not sampled, and of coefficients."""
    sampled = np.zeros(len(table), dtype=bool)
    sampled[rows] = True
    rest = np.random.default_rng(seed).permutation(np.flatnonzero(~sampled))[:MASKS]
    masks = all_masks(spectrum.n)[rest]
    yield (
        "values of masks not sampled",
        _ratio(table[rest] - spectrum(masks), spectrum.predict_std(masks)),
    )
    error = np.array([truth[s] for s in spectrum.supports]) - spectrum.coefficients
    z = _ratio(error, spectrum.std)
    yield "all coefficients read out", z
    largest = np.argsort(-np.abs(spectrum.coefficients))[:21]
    yield "the 20 largest coefficients", z[largest]


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
