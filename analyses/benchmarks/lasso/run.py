"""How fast and how exact is the LASSO of pairs, against scikit-learn? See the README beside this file.

The games and the sides are below; the table is written beside this file.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
from sklearn import linear_model

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "walsh_gp"))

from planted import planted

from spex_mech.decoders.lasso import _FINE, _PENALTIES, _low_order, _path
from spex_mech.decoders.ridge import parities

# Players, masks, share of players kept, standard deviation of the noise as part of the values'.
SETTINGS = {
    "saturating": [(60, 96, 0.8, 0.0), (100, 160, 0.8, 0.0)],
    "planted": [
        (64, 400, 0.9, 0.0),
        (85, 800, 0.9, 0.0),
        (60, 200, 0.5, 0.3),
        (60, 800, 0.8, 0.3),
    ],
    "dependent": [(60, 60, 0.97, 0.3), (30, 60, 0.97, 0.0)],
}
NAMES = ("game", "players", "masks", "kept", "noise", "penalties")


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--results", type=Path, default=HERE / "results.md")
    parser.add_argument("--games", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    args = parser.parse_args()
    rows = []
    for kind in args.games:
        for setting in SETTINGS[kind]:
            for least in (1e-1, 1e-2, 1e-3):
                rows.append(measure(kind, setting, least, args.repeats))
                print(*rows[-1].values(), flush=True)
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    args.results.write_text(text + "\n", encoding="utf-8")
    print(text)


def measure(
    kind: str, setting: tuple[int, int, float, float], least: float, repeats: int
) -> dict[str, str]:
    """Seconds and duality gaps of ours and of scikit-learn's descent and least angles, in turns."""
    terms, values = problem(kind, *setting)
    penalties = np.abs(values @ terms).max() / len(values) * _PENALTIES
    penalties = penalties[penalties >= least * (1 - 1e-9) * penalties[0]]
    sides: dict[str, Callable[[], np.ndarray]] = {
        "ours": lambda: _path(terms, values, np.ones(len(values)), penalties, _FINE)[0],
        "lasso_path": lambda: linear_model.lasso_path(
            terms, values, alphas=penalties.tolist(), tol=_FINE, max_iter=5000
        )[1],
        "lars_path": lambda: least_angles(terms, values, penalties),
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    gaps = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # paths that do not converge are what is measured
        for _ in range(repeats):
            for side, fit in sides.items():
                began = time.process_time()
                slopes = fit()
                seconds[side].append(time.process_time() - began)
                gaps[side] = gap(terms, values, penalties, slopes)
    ours = np.array(seconds["ours"])
    row = dict(zip(NAMES, map(str, (kind, *setting, f"to {least:g}")), strict=True))
    row |= {"terms used": str(np.count_nonzero(sides["ours"]()[:, -1]))}
    row |= {"ours, s": f"{np.median(ours):.2f}", "its gap": f"{gaps['ours']:.0e}"}
    for side in ("lasso_path", "lars_path"):
        ratios = np.array(seconds[side]) / ours
        row |= {
            f"{side} ÷ ours": f"{np.median(ratios):.1f}",
            f"gap of {side}": f"{gaps[side]:.0e}",
        }
    return row


def problem(kind: str, n: int, m: int, kept: float, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of players as terms, and values; both with mean 0."""
    rng = np.random.default_rng(n + m)
    masks = rng.random((m, n)) < kept
    if kind == "saturating":
        values = np.maximum(masks.mean(axis=1) - 0.7, 0.0)
    else:
        values = planted(n, 1)(masks)
    values = (values - values.mean()) / values.std()
    values = values + noise * rng.normal(size=m)
    terms = parities(masks, _low_order(n, 2)).astype(np.float64)
    return np.asfortranarray(terms - terms.mean(axis=0)), values - values.mean()


def least_angles(terms: np.ndarray, values: np.ndarray, penalties: np.ndarray) -> np.ndarray:
    """Slopes of scikit-learn's least angle regression, where its path ends early those of the end."""
    points, _, path = linear_model.lars_path(
        terms, values, method="lasso", alpha_min=penalties[-1], max_iter=20 * len(values)
    )
    return np.array([np.interp(-penalties, -points, row) for row in path])


def gap(terms: np.ndarray, values: np.ndarray, penalties: np.ndarray, slopes: np.ndarray) -> float:
    """The largest duality gap of the penalties, as part of the values' sum of squares."""
    left = values[:, None] - terms @ slopes
    squares, bound = (left**2).sum(axis=0), len(values) * penalties
    part = np.minimum(1.0, bound / np.maximum(np.abs(terms.T @ left).max(axis=0), 1e-300))
    dual = part * (values @ left) - part**2 * squares / 2
    gaps = squares / 2 + bound * np.abs(slopes).sum(axis=0) - dual
    return float(np.maximum(gaps, 0.0).max() / (values @ values))


if __name__ == "__main__":
    main()
