"""Rows of a table that grows: what was measured before is not measured again."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path


def read(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file; none if it is not there."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def append(path: Path, row: Mapping[str, object]) -> None:
    """Add a row to a CSV file; the first row's keys become its header."""
    rows = read(path)
    columns = list(rows[0]) if rows else list(row)
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if not rows:
            writer.writeheader()
        writer.writerow(row)
