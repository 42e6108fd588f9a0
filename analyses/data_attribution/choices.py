"""Selections of training examples by all methods, and their accuracies as table and figure."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

import spex_mech as sm
from spex_mech import training_data as td
from spex_mech.core.estimates import bootstrap_mean, paired_difference

COLUMNS = ("draw", "method", "keep", "accuracy")
OURS = "pruned game"
RANDOM = 10

Choice = tuple[str, int, npt.NDArray[np.bool_]]


def of_the_game(
    game: td.TrainingGame, ours: sm.Spectrum, linear: sm.Spectrum, keep: int, *, seed: int
) -> list[Choice]:
    """What the decoded game keeps: with interactions, and without."""
    return [
        (OURS, keep, td.select(game, ours, keep=keep, seed=seed).mask),
        ("first-order datamodel", keep, td.first_order(linear, keep)),
    ]


def of_the_examples(
    train: td.Examples, losses: npt.NDArray[np.float64], keep: int, *, seed: int
) -> list[Choice]:
    """What methods keep that know the examples and their losses only, and random choices."""
    flat, labels = train.inputs, train.labels
    return [
        ("herding", keep, td.herding(flat, keep, labels=labels)),
        ("k-centre", keep, td.k_centre(flat, keep, labels=labels)),
        ("lowest loss", keep, td.by_loss(losses, keep, hardest=False)),
        ("highest loss", keep, td.by_loss(losses, keep)),
        *(
            ("random", keep, td.at_random(len(train), keep, seed=100 * seed + k))
            for k in range(RANDOM)
        ),
    ]


def rows_of(
    draw: int, chosen: Sequence[Choice], accuracy: npt.NDArray[np.float64]
) -> list[tuple[int, str, int, str]]:
    """Rows of the table: the mean of each method and size in a draw."""
    found = defaultdict(list)
    for (name, keep, _), value in zip(chosen, accuracy, strict=True):
        found[name, keep].append(value)
    return [(draw, name, keep, f"{np.mean(v):.4f}") for (name, keep), v in found.items()]


def add_rows(path: Path, rows: Sequence[tuple[int, str, int, str]]) -> None:
    """Add the rows of a draw to the table."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows] if new else rows)


def draws_in(path: Path) -> set[int]:
    """The draws that the table has."""
    if not path.exists():
        return set()
    with path.open(newline="") as file:
        return {int(row["draw"]) for row in csv.DictReader(file)}


def summary(path: Path, here: Path) -> None:
    """Means over the draws with intervals, paired differences, and the figure."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    sizes = tuple(dict.fromkeys(int(row["keep"]) for row in rows))
    table: dict[str, dict[int, np.ndarray]] = defaultdict(dict)
    for name in dict.fromkeys(row["method"] for row in rows):
        for keep in sizes:
            mine = [r for r in rows if r["method"] == name and int(r["keep"]) == keep]
            mine.sort(key=lambda r: int(r["draw"]))
            table[name][keep] = np.array([float(r["accuracy"]) for r in mine])
    curves = {}
    head = [f"| method | {' | '.join(str(k) for k in sizes)} |", "|---" * (1 + len(sizes)) + "|"]
    lines = list(head)
    for name, by_size in table.items():
        found = [bootstrap_mean(by_size[k], seed=0) for k in sizes]
        curves[name] = (
            sizes,
            [x.mean for x in found],
            [x.low for x in found],
            [x.high for x in found],
        )
        cells = [f"{x.mean:.3f} [{x.low:.3f}, {x.high:.3f}]" for x in found]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "Pruned game minus the other, paired over the draws:", "", *head]
    for name, by_size in table.items():
        if name != OURS:
            cells = [str(paired_difference(table[OURS][k], by_size[k], seed=0)) for k in sizes]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    (here / "selection.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    td.selection_figure(curves).savefig(here / "selection.png", dpi=130)
