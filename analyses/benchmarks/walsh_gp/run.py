"""Measure the Walsh-kernel Gaussian process: see the README beside this file.

python analyses/benchmarks/walsh_gp/run.py --games ../shared/games
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from math import comb, log2
from pathlib import Path
from unittest.mock import patch

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before NumPy: seconds of one core
    os.environ.setdefault(_name, "1")

import numpy as np
from planted import planted
from summary import write_summary

from spex_mech.core.errors import InputError
from spex_mech.core.faithfulness import faithfulness
from spex_mech.core.masks import all_masks, pack
from spex_mech.core.spectrum import Spectrum
from spex_mech.core.transform import exact_spectrum
from spex_mech.decoders.gp import decode as gp_decode
from spex_mech.decoders.gp.decode import walsh_gp
from spex_mech.decoders.lasso import lasso
from spex_mech.decoders.proxyspex import proxyspex
from spex_mech.designs import MaskDesign, biased, uniform

HERE = Path(__file__).parent
FIELDS = (
    "part", "game", "n", "budget", "rate", "seed", "method", "r2", "r2_readout", "recall",
    "r2_cv", "readout_loss", "exact_readout", "terms", "cpu_seconds",
)  # fmt: skip
METHODS: dict[str, Callable[..., Spectrum]] = {
    "walsh_gp": walsh_gp,
    "proxyspex": proxyspex,
    "lasso order 2": partial(lasso, order=2),
}
LASSO_ENTRIES = 1 << 25  # beyond, order 2 takes minutes, and order 1 stands in
Game = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    """Run the parts asked for and write results.csv, summary.md and summary.png."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=Path, required=True, help="folder of <game>.npz files")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "results.csv"
    old = list(csv.DictReader(path.open())) if path.exists() else []
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(row for row in old if not _again(row, args))
        for part in args.parts:
            for row in PARTS[part](args):
                writer.writerow({"part": part, **row})
                file.flush()
            print(f"{part}: done", flush=True)
    write_summary(list(csv.DictReader(path.open())), args.out)
    print((args.out / "summary.md").read_text())


def real_games(args: argparse.Namespace) -> Iterator[dict]:
    """Complete real games at five budgets."""
    for name, table, n in _tables(args.games):
        truth = {s for s, _ in exact_spectrum(table).top(10)}
        for budget in (100, 200, 500, 1000, 2000):
            for seed in range(args.seeds):
                design = uniform(n, budget, seed=seed)
                unseen = np.ones(len(table), dtype=bool)
                unseen[pack(design.masks)[:, 0].astype(np.int64)] = False
                test = all_masks(n)[unseen]
                for method in args.methods:
                    yield {"game": name, "seed": seed} | _measure(
                        method, design, partial(_look_up, table), test, truth
                    )


def planted_games(args: argparse.Namespace) -> Iterator[dict]:
    """Planted hierarchical games at budgets alpha n log2 n."""
    for n in (96, 256):
        for seed in (10, 11):  # settings were chosen on planted games of seeds 0 to 3
            game = planted(n, seed)
            truth = {s for s, _ in game.top(10)}
            for alpha in (0.25, 0.5, 1, 2):
                design = uniform(n, round(alpha * n * log2(n)), seed=seed)
                test = np.random.default_rng(1000 + seed).random((4000, n)) < 0.5
                for method in args.methods:
                    yield {"game": f"alpha {alpha}", "seed": seed} | _measure(
                        method, design, game, test, truth
                    )


def relevance_rows(args: argparse.Namespace) -> Iterator[dict]:
    """How many masks to learn the relevances from."""
    cases: list[tuple[str, int, int, Game]] = [
        (name, n, 2000, partial(_look_up, table)) for name, table, n in _tables(args.games)[::5]
    ]
    cases += [(f"planted {n}", n, m, planted(n, 0)) for n, m in ((96, 1264), (256, 2048))]
    for name, n, budget, game in cases:
        design, test = uniform(n, budget, seed=0), uniform(n, 4000, seed=1000).masks
        for rows in (400, 800, 1600):
            with patch.object(gp_decode, "rows_to_learn", lambda *_, rows=rows: rows):
                row = _measure("walsh_gp", design, game, test, set())
            yield {"game": name, "seed": 0} | row | {"method": f"rows {rows}"}


def many_masks(args: argparse.Namespace) -> Iterator[dict]:
    """What solving for a part of the masks loses."""
    large = [t for t in _tables(args.games) if t[2] == 16][:1]
    cases: list[tuple[str, int, Game]] = [(g, n, partial(_look_up, table)) for g, table, n in large]
    cases.append(("planted 96", 96, planted(96, 0)))
    for name, n, game in cases:
        design, test = uniform(n, 7000, seed=0), uniform(n, 4000, seed=1000).masks
        for most in (2500, 5000, 7000):
            with patch.object(gp_decode, "MAX_ROWS", most):
                row = _measure("walsh_gp", design, game, test, set())
            yield {"game": name, "seed": 0} | row | {"method": f"max_rows {most}"}


def keep_rates(args: argparse.Namespace) -> Iterator[dict]:
    """What the readout loses away from keep rate 1/2."""
    for n, budget in ((40, 400), (96, 1264)):
        for seed in range(2):
            game = planted(n, seed)
            for rate in (0.5, 0.7, 0.85):
                design = biased(n, budget, keep_rate=rate, seed=seed)
                test = np.random.default_rng(1000).random((4000, n)) < rate
                for method in args.methods:
                    yield {"game": "planted", "seed": seed, "rate": rate} | _measure(
                        method, design, game, test, set()
                    )


PARTS = {
    "games": real_games,
    "planted": planted_games,
    "rows": relevance_rows,
    "masks": many_masks,
    "rates": keep_rates,
}


def _again(row: dict, args: argparse.Namespace) -> bool:
    """Whether a row of an earlier run is about to be measured again."""
    method = row["method"].replace("order 1", "order 2")
    return row["part"] in args.parts and (method in args.methods or method not in METHODS)


def _measure(method: str, design: MaskDesign, game: Game, test: np.ndarray, truth: set) -> dict:
    values, n = game(design.masks), design.n
    columns = n + comb(n, 2)
    fit = METHODS[method]
    if method == "lasso order 2" and columns * len(design) > LASSO_ENTRIES:
        method, fit = "lasso order 1", partial(lasso, order=1)
    row: dict = {"n": n, "budget": len(design), "method": method}
    start = time.process_time()
    try:
        spectrum = fit(design, values, seed=0)
    except InputError:
        return row
    row["cpu_seconds"] = time.process_time() - start
    row["r2"] = _r2(spectrum, test, game)
    row["recall"] = len(truth & {s for s, _ in spectrum.top(10)}) / 10 if truth else ""
    row["terms"] = len(spectrum)
    for name in ("r2_cv", "readout_loss", "exact_readout"):
        row[name] = spectrum.info.get(name, "")
    if spectrum.predictor is not None:
        row["r2_readout"] = _r2(replace(spectrum, predictor=None), test, game)
    return row


def _r2(spectrum: Spectrum, test: np.ndarray, game: Game) -> float:
    return faithfulness(spectrum, test, game(test))


def _look_up(table: np.ndarray, masks: np.ndarray) -> np.ndarray:
    return table[pack(masks)[:, 0].astype(np.int64)]


def _tables(folder: Path) -> list[tuple[str, np.ndarray, int]]:
    """The games that published averages are of, or none with a message."""
    paths = [
        p
        for p in sorted(folder.glob("*.npz"))
        if not p.stem.startswith(("imageclassifier-n14", "adultcensus-featureselection"))
    ]
    if not paths:
        print(f"no .npz games in {folder}: the parts on real games are skipped")
    out = []
    for path in paths:
        with np.load(path) as file:
            out.append((path.stem, file["values"].astype(float), int(file["n"])))
    return out


if __name__ == "__main__":
    main()
