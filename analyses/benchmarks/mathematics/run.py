"""Time and memory of the mathematics at its stated sizes: python analyses/benchmarks/mathematics/run.py."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb

import spex_mech as sm
from spex_mech.core.interactions import moebius, to_spectrum
from spex_mech.decoders.trees import tree_spectrum

HERE = Path(__file__).parent
Case = tuple[Callable[[], Any], Callable[[Any], str]]  # the work, and what to say of its result
INDICES = ("Fourier", "Moebius", "Banzhaf", "Shapley", "BII", "SII", "STII", "FBII", "FSII")


def large_spectrum(n: int = 1000, terms: int = 5000, degree: int = 5) -> sm.Spectrum:
    """A random spectrum of sets of 1 to ``degree`` players."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, degree + 1, terms)
    supports = [tuple(rng.choice(n, size, replace=False)) for size in sizes]
    return sm.Spectrum.from_supports(supports, rng.normal(size=terms), n)


def index(name: str, order: int) -> Case:
    """Convert the large spectrum to an index."""
    spectrum = large_spectrum()
    return lambda: sm.interactions(
        spectrum, name, order
    ), lambda found: f"{len(found.values):,} values"


def round_trip() -> Case:
    """Fourier to Moebius and back."""
    spectrum = large_spectrum()

    def describe(back: sm.Spectrum) -> str:
        return f"largest error {max(abs(back[s] - c) for s, c in spectrum):.0e}"

    return lambda: to_spectrum(moebius(spectrum)), describe


def trees(n: int, count: int = 3000) -> Case:
    """An ensemble of depth-5 trees to its spectrum, and its distance from its own leaves."""
    rng = np.random.default_rng(0)
    masks = rng.random((2000, n)) < 0.5
    signs = 1.0 - 2.0 * masks
    values = signs[:, 0] * signs[:, 1] + signs[:, 2] * signs[:, 3] * signs[:, 4]
    data = xgb.DMatrix(masks.astype(np.float32), values + 0.5 * rng.normal(size=2000))
    params = {"tree_method": "hist", "max_bin": 2, "max_depth": 5, "eta": 0.01, "nthread": 1}
    booster = xgb.train(params, data, count)
    fresh = rng.random((300, n)) < 0.5
    exact = leaf_sums(booster, fresh)

    def describe(found: sm.Spectrum) -> str:
        error = np.abs(found(fresh) - exact).max()
        return f"{len(found):,} terms; at most {error:.0e} from the sum of the leaves"

    return lambda: tree_spectrum(booster, n), describe


def leaf_sums(booster: xgb.Booster, masks: np.ndarray) -> np.ndarray:
    """The ensemble's predictions summed in float64, leaf by leaf."""
    leaves = booster.predict(xgb.DMatrix(masks.astype(np.float32)), pred_leaf=True).astype(int)
    frame = booster.trees_to_dataframe()
    frame = frame[frame["Feature"] == "Leaf"]
    value = {(t, i): g for t, i, g in zip(frame["Tree"], frame["Node"], frame["Gain"], strict=True)}
    base = float(
        booster.predict(xgb.DMatrix(masks[:1].astype(np.float32)), iteration_range=(0, 1))[0]
    )
    base -= value[0, leaves[0, 0]]
    return base + np.array([sum(value[t, i] for t, i in enumerate(row)) for row in leaves])


def evaluation(terms: int, count: int = 1_000_000, n: int = 200) -> Case:
    """A spectrum on a million masks."""
    spectrum = large_spectrum(n, terms)
    masks = np.random.default_rng(1).random((count, n)) < 0.5
    return lambda: spectrum(masks), lambda found: f"{len(found):,} values"


def exact(n: int) -> Case:
    """The exact transform of a table of 2^n values."""
    values = np.random.default_rng(0).normal(size=1 << n)
    return lambda: sm.exact_spectrum(values), lambda found: f"{len(found):,} terms"


CASES: dict[str, Callable[[], Case]] = {
    **{
        f"{name}, order {order}": (lambda name=name, order=order: index(name, order))
        for name in INDICES
        for order in (2, 5)
    },
    "Fourier to Moebius and back": round_trip,
    "3,000 trees of depth 5, n = 16": lambda: trees(16),
    "3,000 trees of depth 5, n = 1,000": lambda: trees(1000),
    "200 terms on 1,000,000 masks": lambda: evaluation(200),
    "5,000 terms on 1,000,000 masks": lambda: evaluation(5000),
    "exact transform, n = 20": lambda: exact(20),
    "exact transform, n = 24": lambda: exact(24),
}


def measure(name: str) -> str:
    """One table row: CPU seconds of the work alone, and the process's peak memory with its input."""
    work, describe = CASES[name]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    result = work()
    seconds = time.process_time() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"| {name} | {seconds:.2f} | {before / 1024:,.0f} | {after / 1024:,.0f} | {describe(result)} |"


def main() -> None:
    """Measure every case in a process of its own and write results.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", help="one case, in this process")
    case = parser.parse_args().case
    if case:
        print(measure(case))
        return
    rows = ["| case | CPU s | MiB before | MiB at the peak | |", "|---|---|---|---|---|"]
    for name in CASES:
        command = [sys.executable, __file__, "--case", name]
        rows.append(
            subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        )
        print(rows[-1], flush=True)
    rows.append(f"\nPython {platform.python_version()}, NumPy {np.__version__}, one thread.")
    (HERE / "results.md").write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
