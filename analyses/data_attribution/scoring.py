"""How well methods predict retrainings that none has seen: the rows of a table, and what they say."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parents[1]))
from table_rows import append, read

import spex_mech as sm
from spex_mech import training_data as td
from spex_mech.core.estimates import bootstrap_mean, paired_difference

COLUMNS = ("method", "masks", "point", "r2", "lds", "cpu_seconds")
Predict = Callable[[npt.NDArray[np.bool_]], npt.NDArray[np.float64]]


def held_out(
    predict: Predict, masks: npt.NDArray[np.bool_], truth: npt.NDArray[np.float64]
) -> tuple[float, float]:
    """R² and linear datamodelling score on retrainings that no method has seen."""
    r2 = sm.faithfulness(predict, masks, truth)
    return r2, float(td.datamodelling_scores(predict(masks)[:, None], truth[:, None])[0])


def row_of(
    method: str, masks: int, point: int, held: tuple[float, float], seconds: float
) -> dict[str, Any]:
    """A row of the table of a method at a test point; 0 masks for a method that needs none."""
    numbers = f"{held[0]:.4f}", f"{held[1]:.4f}", f"{seconds:.1f}"
    return dict(zip(COLUMNS, (method, masks, point, *numbers), strict=True))


def rows_of_scores(
    method: str, scores: npt.NDArray[np.float64], data: td.Trainings, points: Sequence[int],
    fit: int, seconds: float,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Rows of attributions (points, n) whose scale means nothing: a line is fitted to the first ``fit``."""
    for weights, point in zip(scores, points, strict=True):
        added = lambda x, w=weights: td.additive(w[None], x)[:, 0]  # noqa: E731
        values = data.values(point)
        line = np.polynomial.Polynomial.fit(added(data.masks[:fit]), values[:fit], 1)
        predict: Predict = lambda x, f=line, a=added: f(a(x))  # noqa: E731
        yield row_of(method, 0, point, held_out(predict, data.masks[fit:], values[fit:]), seconds)


def measure_peers(
    path: Path,
    calls: Mapping[str, Callable[[], npt.NDArray[np.float64]]],
    data: td.Trainings,
    points: Sequence[int],
    fit: int,
) -> None:
    """Append the rows of each method's scores (points, n) to a table that lacks them."""
    done = {r["method"] for r in read(path)}
    for name, call in calls.items():
        if name in done:
            continue
        began = time.process_time()
        scores = call()
        seconds = (time.process_time() - began) / len(scores)
        for row in rows_of_scores(name, scores, data, points, fit, seconds):
            append(path, row)
        print(name, f"{seconds * len(scores):.0f} s", flush=True)


def summary(
    rows: Sequence[Mapping[str, str]], *, own: tuple[str, str], spent: Mapping[str, str]
) -> list[str]:
    """Means over test points with intervals, and differences from our own method, paired over points.

    Args:
        rows: rows of the table.
        own: method and masks of our own.
        spent: how many retrainings a method that needs no masks took, where these are not gradients.
    """
    found: dict[tuple[str, str], dict[int, Mapping[str, str]]] = {}
    for row in rows:
        found.setdefault((row["method"], row["masks"]), {})[int(row["point"])] = row
    ours = found.get(own, {})
    lines = [
        f"| method | retrainings | points | R² | LDS | {own[0]} minus it, R² | {own[0]} minus it, LDS |"
    ]
    lines += ["|---|---|---|---|---|---|---|"]
    for (method, masks), points in found.items():
        cells = []
        for what in ("r2", "lds"):
            x = bootstrap_mean(np.array([float(r[what]) for r in points.values()]), seed=0)
            cells.append(f"{x.mean:.3f} [{x.low:.3f}, {x.high:.3f}]")
        both = sorted(ours.keys() & points.keys())
        for what in ("r2", "lds"):
            if method == own[0] or len(both) < 2:
                cells.append("")
                continue
            mine, its = (np.array([float(x[p][what]) for p in both]) for x in (ours, points))
            cells.append(str(paired_difference(mine, its, seed=0)))
        trained = spent.get(method, masks if masks != "0" else "gradients")
        lines.append(f"| {method} | {trained} | {len(points)} | {' | '.join(cells)} |")
    return lines
