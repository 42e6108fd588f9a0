"""Do we find circuits that are known, and for how many rows? See the README beside this file.

    python analyses/known_circuits/run.py

Rows of results.csv that are there already are not made again.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).parents[1]))
from circuits import PLANS, KnownCircuit, build
from rankings import LASSO, OURS, PROXYSPEX, GameOf, decoded, rivals
from semi_synthetic import TASKS, trained
from table_rows import append, read

import spex_mech as sm
from spex_mech.core.estimates import bootstrap_mean
from spex_mech.core.palette import LINES

HERE = Path(__file__).parent
FIELDS = ("circuit", "seed", "rows", "method", "spent", "auroc", "exact", "interactions", "claim")
QUESTIONS, TESTED = 16, 32
METHODS = (
    OURS, PROXYSPEX, LASSO, "AtP", "NAP-IG", "knock-out", "stratified knock-outs", "greedy removal",
)  # fmt: skip
CLAIMED = 0.01  # part of the whole model's margin that a needed part has to change


def main() -> None:
    """Measure, and write results.csv, results.md and recovery.png."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    every = [*PLANS, *TASKS]
    parser.add_argument("--circuits", nargs="+", default=every, choices=every)
    parser.add_argument(
        "--trained", type=Path, default=Path("runs/known_circuits"), help="their folder"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--rows", type=int, nargs="+", default=[32, 64, 128, 256, 512, 1024])
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args()
    torch.set_num_threads(1)
    path = args.out / "results.csv"
    for name in args.circuits:
        for seed in args.seeds:
            known = build(name, seed) if name in PLANS else trained(name, args.trained)
            for rows in args.rows:
                done = [(r["circuit"], r["seed"], r["rows"]) for r in read(path)]
                if (name, str(seed), str(rows)) not in done:
                    for row in measured(known, seed, rows):
                        append(path, row)
            print(name, seed, flush=True)
    rows = read(path)
    (args.out / "results.md").write_text(table(rows), encoding="utf-8")
    figure(rows).savefig(args.out / "recovery.png", dpi=110)
    print(table(rows))


def games(known: KnownCircuit, seed: int) -> tuple[GameOf, sm.TaskGame]:
    """The game of the first search questions, and the game of the test questions."""
    model = sm.load_model(known.model)
    players = sm.select_players(model, "heads")
    ids, answers = known.draw(seed, QUESTIONS + TESTED)

    def of(rows: slice) -> sm.TaskGame:
        return sm.TaskGame(
            model, sm.TokenTask(ids[rows], answers=answers[rows]), players, ablation=known.ablation
        )

    made: dict[int, sm.TaskGame] = {}

    def search(count: int) -> sm.TaskGame:
        if count not in made:
            made[count] = of(slice(count))
        return made[count]

    return search, of(slice(QUESTIONS, None))


def measured(known: KnownCircuit, seed: int, rows: int) -> list[dict[str, str]]:
    """One row for each method: how well its ranking fits the truth."""
    search, test = games(known, seed)
    rankings = decoded(search(QUESTIONS), rows, seed) | rivals(search, rows, seed, QUESTIONS)
    size = int(known.truth.sum())
    lines = []
    for method, ranking in rankings.items():
        top = np.argsort(-ranking.scores, kind="stable")[:size]
        separate = np.sort(ranking.scores)[-size] > np.sort(ranking.scores)[-size - 1]
        line = {
            "circuit": known.name, "seed": seed, "rows": rows, "method": method, "spent": ranking.rows,
            "auroc": f"{roc_auc_score(known.truth, ranking.scores):.4f}",
            "exact": int(bool(separate and known.truth[top].all())),
            "interactions": "", "claim": "",
        }  # fmt: skip
        if ranking.spectrum is not None and method != LASSO and known.interactions:
            line["interactions"] = f"{signs_right(ranking.spectrum, known):.3f}"
        if method == OURS:
            line["claim"] = int(bool((claimed(test, ranking.spectrum) == known.truth).all()))
        lines.append({key: str(value) for key, value in line.items()})
    return lines


def signs_right(spectrum: sm.Spectrum, known: KnownCircuit) -> float:
    """Share of the known interactions that have the right sign and are among the strongest of their order.

    Of an order with k known interactions the strongest k count. Values are the Fourier coefficients times
    (-2)^order, which is the Banzhaf interaction where no larger term holds the players, and has its sign.
    """
    right = 0
    for players, sign in known.interactions.items():
        order = len(players)
        count = sum(len(other) == order for other in known.interactions)
        found = sm.interactions(spectrum, "BII", order, terms="readout").values
        same = {s: v for s, v in found.items() if len(s) == order}
        strongest = sorted(same, key=lambda s: -abs(same[s]))[:count]
        right += players in strongest and np.sign(same[players]) == sign
    return right / len(known.interactions)


def claimed(test: sm.TaskGame, spectrum: sm.Spectrum | None) -> np.ndarray:
    """The parts that `sm.circuit` shows to be needed, starting from all heads: no size is given to it."""
    everything = np.ones(test.players.n, dtype=bool)
    found = sm.circuit(test, everything, spectrum, subsets=0, seed=0, progress=False)
    least = CLAIMED * abs(found.full.mean)
    return np.array([node.needed and abs(node.score.mean) > least for node in found.nodes])


def table(rows: list[dict[str, str]]) -> str:
    """AUROC and exact recovery over all circuits and seeds, and exact recovery of each circuit."""
    budgets = sorted({int(r["rows"]) for r in rows})
    head = "| method | " + " | ".join(f"{b} rows" for b in budgets) + " |\n|---|"
    head += "---|" * len(budgets) + "\n"
    text = ""
    for field, title in (
        ("auroc", "Node AUROC, mean over circuits and seeds [95 % bootstrap interval over them]"),
        ("exact", "Share of exact recoveries (the k best ranked players are the circuit's k)"),
        ("interactions", "Share of known interactions with right sign, strongest of their order"),
        (
            "claim",
            "Share of exact recoveries without the size: what `sm.circuit` shows to be needed",
        ),
    ):
        text += f"### {title}\n\n{head}"
        for method in METHODS:
            cells = [
                cell([float(r[field]) for r in rows if (r["method"], int(r["rows"])) == (method, b) and
                r[field]]) for b in budgets
            ]  # fmt: skip
            if any(cells):
                text += f"| {method} | " + " | ".join(cells) + " |\n"
        text += "\n"
    text += "### Exact recoveries of each circuit at the largest budget\n\n| method | "
    circuits = list(dict.fromkeys(r["circuit"] for r in rows))
    text += " | ".join(circuits) + " |\n|---|" + "---|" * len(circuits) + "\n"
    for method in METHODS:
        some = [r for r in rows if r["method"] == method and int(r["rows"]) == budgets[-1]]
        if some:
            shares = [[int(r["exact"]) for r in some if r["circuit"] == c] for c in circuits]
            text += f"| {method} | " + " | ".join(f"{sum(s)} of {len(s)}" for s in shares) + " |\n"
    return text


def cell(values: list[float]) -> str:
    """A mean with its interval."""
    if not values:
        return ""
    if len(values) < 2:
        return f"{values[0]:.3f}"
    e = bootstrap_mean(np.array(values), seed=0)
    return f"{e.mean:.3f} [{e.low:.3f}, {e.high:.3f}]"


def figure(rows: list[dict[str, str]]) -> Figure:
    """AUROC and exact recovery against rows."""
    drawn = Figure(figsize=(9.5, 3.6), layout="constrained")
    for axes, field in zip(drawn.subplots(1, 2), ("auroc", "exact"), strict=True):
        for order, method in enumerate(METHODS):
            some = [r for r in rows if r["method"] == method]
            budgets = sorted({int(r["rows"]) for r in some})
            values = [[float(r[field]) for r in some if int(r["rows"]) == b] for b in budgets]
            means = [np.mean(v) for v in values]
            axes.plot(budgets, means, "o-", ms=4, lw=1.5, color=LINES[order], label=method)
            if all(len(v) > 1 for v in values):
                ends = [bootstrap_mean(np.array(v), seed=0) for v in values]
                low, high = [e.low for e in ends], [e.high for e in ends]
                axes.fill_between(budgets, low, high, color=LINES[order], alpha=0.1, lw=0)
        axes.set_xscale("log", base=2)
        axes.set_xlabel("rows (questions under masks)", size=9)
        axes.set_ylabel({"auroc": "node AUROC", "exact": "exact recoveries"}[field], size=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.25)
    axes.legend(frameon=False, fontsize=7)
    return drawn


if __name__ == "__main__":
    main()
