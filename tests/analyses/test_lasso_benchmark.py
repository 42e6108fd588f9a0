"""The benchmark of the LASSO runs on its smallest games, where terms are sums of others."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_smallest_games_are_solved(tmp_path, monkeypatch):
    results = tmp_path / "results.md"
    options = ["--games", "dependent", "--repeats", "1", "--results", str(results)]
    monkeypatch.setattr(sys, "argv", ["run.py", *options])
    monkeypatch.setattr(sys, "path", list(sys.path))
    runpy.run_path(str(ROOT / "analyses" / "benchmarks" / "lasso" / "run.py"), run_name="__main__")
    names, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in results.read_text().splitlines()
    ]
    assert len(rows) == 6
    assert all(float(row[names.index("its gap")]) <= 1e-6 for row in rows)
    assert max(float(row[names.index("gap of lars_path")]) for row in rows) > 0.01  # it ends early
