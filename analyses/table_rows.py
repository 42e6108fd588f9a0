"""Rows of a table that grows: what was measured before is not measured again."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from spex_mech.core.estimates import bootstrap_mean


def read(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file; none if it is not there."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def append(path: Path, row: Mapping[str, object]) -> None:
    """Add a row to a CSV file, which is made if need be; the first row's keys become its header."""
    rows = read(path)
    columns = list(rows[0]) if rows else list(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if not rows:
            writer.writeheader()
        writer.writerow(row)


def mean_text(values: Sequence[float]) -> str:
    """A mean with its bootstrap interval for a cell; of one value that alone, of none nothing."""
    if len(values) < 2:
        return f"{float(values[0]):.2f}" if len(values) else ""
    found = bootstrap_mean(np.asarray(values, dtype=np.float64), seed=0)
    return f"{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]"
