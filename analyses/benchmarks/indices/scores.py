"""The problems of the benchmark, exact answers to them, and how far an estimate is from these.

Needs NumPy and jaxtyping only, so that the peers' environment can import it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[3]))
from spex_mech.core.index_functional import IndexFunctional
from spex_mech.core.index_values import table_index_values
from spex_mech.core.packed import pack_players

# Name, the library's index, its order, and the size of the sets that are compared.
TASKS: Mapping[str, tuple[str, int, int]] = {
    "SV": ("Shapley", 1, 1),
    "SII": ("SII", 2, 2),
    "FSII": ("FSII", 2, 2),
    "STII": ("STII", 2, 2),
    "BII": ("BII", 2, 2),
}
COLUMNS = "game,budget,seed,method,task,error,spearman,top5,evaluations,seconds"


@dataclass(frozen=True)
class Game:
    """A complete game: ``table[i]`` is the value of the coalition of the 1-bits of i."""

    name: str
    table: np.ndarray
    n: int

    def sets(self, size: int) -> np.ndarray:
        """All sets of that size, in lexicographic order."""
        every = list(combinations(range(self.n), size))
        return np.array(every, dtype=np.int64).reshape(comb(self.n, size), size)

    def truth(self, task: str) -> np.ndarray:
        """The exact index of all sets."""
        index, order, size = TASKS[task]
        words = pack_players(self.sets(size), self.n)
        return table_index_values(self.table, words, IndexFunctional(index, order))


def games(folder: Path) -> Iterator[Game]:
    """The complete games of a folder of .npz files."""
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        sys.exit(f"skipped: no .npz games in {folder}; give the folder of the value tables")
    for path in paths:
        with np.load(path) as file:
            yield Game(path.stem, file["values"].astype(float), int(file["n"]))


def compare(estimate: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    """Mean squared error over variance, Spearman correlation, and share of the five largest found."""
    error = float(np.mean((estimate - truth) ** 2) / truth.var())
    ranks = [np.argsort(np.argsort(values)) for values in (estimate, truth)]
    five = [
        set(np.argsort(-np.abs(values), kind="stable")[:5].tolist()) for values in (estimate, truth)
    ]
    return error, float(np.corrcoef(ranks[0], ranks[1])[0, 1]), len(five[0] & five[1]) / 5


def row(key: tuple, scores: tuple[float, float, float], evaluations: int, seconds: float) -> str:
    """A line of the results."""
    numbers = [f"{value:.6g}" for value in scores]
    return ",".join([*map(str, key), *numbers, str(evaluations), f"{seconds:.3f}"])
