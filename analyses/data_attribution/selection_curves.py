"""Selecting training examples under a budget: the pruned game against baselines, over several draws."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
from problem import build

import spex_mech as sm
from spex_mech import training_data as td
from spex_mech.core.estimates import bootstrap_mean, paired_difference

DRAWS, POOL, COPIES, WRONG = 5, 200, 40, 20
SIZES = (20, 40, 60, 100, 140)
TRAININGS, RATES, RANDOM, SEEDS = 1000, (0.08, 0.7), 10, (50, 51, 52)
RECIPE = td.Recipe(epochs=40, batch=32, rate=0.1)
COLUMNS = ("draw", "method", "keep", "accuracy")


def pool(draw: int) -> tuple[td.Examples, td.Examples, td.Examples]:
    """A pool of 200, 300 validation points and 600 test points.

    The pool is 160 digits, 20 of them mislabelled, and noisy copies of 40 of the 160. The selection may
    look at the validation points, not at the test points.
    """
    base, validation, test = td.digits(POOL - COPIES, 300, 600, seed=1000 + draw)
    rng = np.random.default_rng(draw)
    labels = base.labels.copy()
    wrong = rng.permutation(len(base))[:WRONG]
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, WRONG)) % 10
    copied = rng.permutation(len(base))[:COPIES]
    noise = rng.normal(scale=0.05, size=base.inputs[copied].shape)
    copies = np.clip(base.inputs[copied] + noise, 0.0, 1.0)
    train = td.Examples(
        np.concatenate([base.inputs, copies]),
        np.concatenate([labels, labels[copied]]),
        base.classes,
    )
    return train, validation, test


def selection(out: Path, here: Path) -> None:
    """All methods and sizes of every draw; the table goes on where it stopped."""
    path = here / "selection.csv"
    done = set()
    if path.exists():
        with path.open(newline="") as file:
            done = {int(row["draw"]) for row in csv.DictReader(file)}
    for draw in range(DRAWS):
        if draw not in done:
            rows = one(draw, out)
            new = not path.exists()
            with path.open("a", newline="") as file:
                writer = csv.writer(file)
                writer.writerows([COLUMNS, *rows] if new else rows)
            print(draw, flush=True)
    summary(path, here)


def one(draw: int, out: Path) -> list[tuple[int, str, int, str]]:
    """One draw: choose by the validation points, then train anew and ask the test points."""
    train, validation, test = pool(draw)
    trainer = td.TorchTrainer(build, RECIPE)
    game = td.TrainingGame(trainer, train, validation, value="loss")
    design = sm.designs.biased(POOL, TRAININGS, keep_rate=RATES, seed=draw)
    run = sm.evaluate(game, design, store=out / f"selection-{draw}", batch=256)
    ours = sm.decode(design, run.values, method="proxyspex", seed=0)
    linear = sm.decode(design, run.values, method="lasso", seed=0, order=1)
    losses = td.own_losses(game)
    chosen: list[tuple[str, int, np.ndarray]] = []
    for keep in SIZES:
        flat, labels = train.inputs, train.labels
        chosen += [
            ("pruned game", keep, td.select(game, ours, keep=keep, seed=draw).mask),
            ("first-order datamodel", keep, td.first_order(linear, keep)),
            ("herding", keep, td.herding(flat, keep, labels=labels)),
            ("k-centre", keep, td.k_centre(flat, keep, labels=labels)),
            ("lowest loss", keep, td.by_loss(losses, keep, hardest=False)),
            ("highest loss", keep, td.by_loss(losses, keep)),
        ]
        chosen += [
            ("random", keep, td.at_random(POOL, keep, seed=100 * draw + k)) for k in range(RANDOM)
        ]
    final = td.TrainingGame(trainer, train, test, value="accuracy", seeds=SEEDS)
    accuracy = final(np.stack([mask for _, _, mask in chosen]))
    found = defaultdict(list)
    for (name, keep, _), value in zip(chosen, accuracy, strict=True):
        found[name, keep].append(value)
    return [(draw, name, keep, f"{np.mean(v):.4f}") for (name, keep), v in found.items()]


def summary(path: Path, here: Path) -> None:
    """Means over the draws with intervals, paired differences, and the figure."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    table: dict[str, dict[int, np.ndarray]] = defaultdict(dict)
    for name in dict.fromkeys(row["method"] for row in rows):
        for keep in SIZES:
            mine = [r for r in rows if r["method"] == name and int(r["keep"]) == keep]
            mine.sort(key=lambda r: int(r["draw"]))
            table[name][keep] = np.array([float(r["accuracy"]) for r in mine])
    curves = {}
    lines = [f"| method | {' | '.join(str(k) for k in SIZES)} |", "|---" * (1 + len(SIZES)) + "|"]
    for name, by_size in table.items():
        found = [bootstrap_mean(by_size[k], seed=0) for k in SIZES]
        curves[name] = (
            SIZES,
            [x.mean for x in found],
            [x.low for x in found],
            [x.high for x in found],
        )
        cells = [f"{x.mean:.3f} [{x.low:.3f}, {x.high:.3f}]" for x in found]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "Pruned game minus the other, paired over the draws:", ""]
    lines += [f"| method | {' | '.join(str(k) for k in SIZES)} |", "|---" * (1 + len(SIZES)) + "|"]
    for name, by_size in table.items():
        if name != "pruned game":
            cells = [
                str(paired_difference(table["pruned game"][k], by_size[k], seed=0)) for k in SIZES
            ]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    (here / "selection.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    td.selection_figure(curves).savefig(here / "selection.png", dpi=130)
