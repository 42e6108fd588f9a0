"""Decoders on games of 32 to 1000 players: see the README beside this file.

python analyses/benchmarks/many_players/run.py
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import log2
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before NumPy: seconds of one core
    os.environ.setdefault(_name, "1")

import numpy as np

HERE = Path(__file__).parent
sys.path += [str(HERE.parent / "walsh_gp"), str(HERE.parent / "decoders")]

from methods import proxyshap_trees, shapiq_proxyspex
from planted import planted
from summary_many import write_summary

from spex_mech.core.errors import InputError
from spex_mech.core.faithfulness import faithfulness
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.decode import decode
from spex_mech.designs import MaskDesign, biased, spex

FIELDS = (
    "part", "n", "rate", "budget", "alpha", "game", "method", "r2", "recall", "r2_cv",
    "cpu_seconds", "note",
)  # fmt: skip
ALPHAS = (0.25, 0.5, 1.0, 2.0)
PLANTED_SEED = 10
HEAD_BUDGETS = (50, 100, 200, 400, 800)
TEST = 2000
LASSO_ENTRIES = 1 << 25  # beyond, order 2 takes minutes, and order 1 stands in
OURS = ("auto", "walsh_gp", "proxyspex", "lasso", "spex")
PEERS = ("shapiq ProxySPEX", "shapiq ProxySPEX, no refit", "shapiq ProxySHAP trees")


@dataclass(frozen=True)
class Problem:
    """A game, the masks to learn from and those to test on; ``top`` are its largest terms if known."""

    part: str
    name: str
    rate: float
    alpha: float
    budget: int
    seed: int
    masks: np.ndarray
    values: np.ndarray
    test: np.ndarray
    truth: np.ndarray
    top: set[tuple[int, ...]]
    game: Callable[[np.ndarray], np.ndarray] | None


def main() -> None:
    """Run the parts asked for and write results.csv, results.md and many_players.png."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--players", type=int, nargs="+", default=[96, 256, 1000])
    parser.add_argument("--methods", nargs="+", default=list(OURS), choices=(*OURS, *PEERS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="of the games")
    parser.add_argument("--alphas", type=float, nargs="+", default=list(ALPHAS), choices=ALPHAS)
    args = parser.parse_args()
    path = HERE / "results.csv"
    old = list(csv.DictReader(path.open())) if path.exists() else []
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(row for row in old if not _again(row, args))
        for part in args.parts:
            for problem in PARTS[part](args):
                for method in args.methods:
                    writer.writerow(measure(problem, method))
                    file.flush()
            print(f"{part}: done", flush=True)
    write_summary(list(csv.DictReader(path.open())), HERE)
    print((HERE / "results.md").read_text())


def planted_games(args: argparse.Namespace) -> Iterator[Problem]:
    """Planted hierarchical games; the decoders' settings were chosen on seeds 0 to 3."""
    for n in args.players:
        for seed in (PLANTED_SEED + s for s in args.seeds):
            game = planted(n, seed)
            top = {s for s, _ in game.top(10)}
            yield from _budgets("planted", f"seed {seed}", n, game, seed, args.alphas, top)


def networks(args: argparse.Namespace) -> Iterator[Problem]:
    """The margin of a trained multilayer perceptron on one input; absent features take their mean."""
    for n in args.players:
        for seed in args.seeds:
            yield from _budgets(
                "network", f"seed {seed}", n, network(n, seed), seed, args.alphas, set()
            )


def heads(args: argparse.Namespace) -> Iterator[Problem]:
    """The 32 heads of the embedded model: mean log-probability of the right answers, 48 questions."""
    import spex_mech as sm

    model = sm.load_model("embedded")
    players = sm.select_players(model, "heads")
    for subject in ("people", "boxes", "kinds", "travel"):
        task = sm.load_task(f"embedded/{subject}").first(48)
        game = sm.TaskGame(model, task, players, split="search", metric="logprob")
        for rate in (0.5, 0.85):
            train = biased(players.n, max(HEAD_BUDGETS), keep_rate=rate, seed=0).masks
            test = biased(players.n, 800, keep_rate=rate, seed=1000).masks
            values, truth = game(train), game(test)
            for budget in HEAD_BUDGETS:
                yield Problem(
                    "heads", subject, rate, float("nan"), budget, 0, train[:budget],
                    values[:budget], test, truth, set(), None,
                )  # fmt: skip


PARTS = {"planted": planted_games, "network": networks, "heads": heads}


def network(n: int, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """A game whose players are the n inputs of a small network trained on synthetic classes."""
    from sklearn.datasets import make_classification
    from sklearn.neural_network import MLPClassifier

    x, y = make_classification(
        4000, n, n_informative=12, n_redundant=12, n_clusters_per_class=4, class_sep=1.5,
        random_state=seed,
    )  # fmt: skip
    model = MLPClassifier((64, 32), max_iter=60, early_stopping=True, random_state=seed).fit(x, y)
    wanted = int(np.flatnonzero(model.predict(x) == y)[0])
    mean = x.mean(axis=0)

    def game(masks: np.ndarray) -> np.ndarray:
        shown = np.where(masks, x[wanted], mean)
        likely = np.clip(model.predict_proba(shown)[:, y[wanted]], 1e-12, 1 - 1e-12)
        return np.log(likely / (1 - likely))

    return game


def _budgets(
    part: str, name: str, n: int, game: Callable, seed: int, alphas: Sequence[float], top: set
) -> Iterator[Problem]:
    test = biased(n, TEST, keep_rate=0.5, seed=1000 + seed).masks
    truth = game(test)
    for alpha in alphas:
        budget = round(alpha * n * log2(n))
        masks = biased(n, budget, keep_rate=0.5, seed=seed).masks
        yield Problem(
            part, name, 0.5, alpha, budget, seed, masks, game(masks), test, truth, top, game
        )


def measure(problem: Problem, method: str) -> dict:
    """One decoder on one problem."""
    n = problem.masks.shape[1]
    row: dict = {
        "part": problem.part, "n": n, "rate": problem.rate, "budget": problem.budget,
        "alpha": problem.alpha, "game": problem.name, "method": method,
    }  # fmt: skip
    start = time.process_time()
    try:
        spectrum = _fit(problem, method, n)
    except InputError as error:
        return {**row, "note": str(error)[:160]}
    row["cpu_seconds"] = round(time.process_time() - start, 3)
    row["r2"] = round(faithfulness(spectrum, problem.test, problem.truth), 4)
    row["r2_cv"] = spectrum.info.get("r2_cv", "")
    if problem.top:
        row["recall"] = len(problem.top & {s for s, _ in spectrum.top(10)}) / 10
    return row


def _fit(problem: Problem, method: str, n: int) -> Spectrum:
    design, values = MaskDesign(problem.masks, problem.seed), problem.values
    if method in PEERS:
        return _peer(problem, method, design)
    if method == "spex":  # its own masks, within the same budget
        if problem.game is None:
            raise InputError("spex needs masks of its own and keep rate 1/2")
        design = spex(n, problem.budget, seed=problem.seed)
        values = problem.game(design.masks)
    fit = partial(decode, method=method)
    if method == "lasso" and len(design) * n * (n + 1) // 2 > LASSO_ENTRIES:
        fit = partial(fit, order=1)
    return fit(design, values, seed=problem.seed)


def _peer(problem: Problem, method: str, design: MaskDesign) -> Spectrum:
    """A method of shapiq 1.8 on the same masks."""
    if method == "shapiq ProxySHAP trees":
        return proxyshap_trees(design, problem.values, problem.seed)
    found = shapiq_proxyspex(design, lambda masks: problem.values, problem.seed)
    chosen = found.trees if method.endswith("no refit") else found.refitted
    if chosen is None:
        raise InputError("the refit of shapiq's ProxySPEX fails")
    return chosen


def _again(row: dict, args: argparse.Namespace) -> bool:
    if row["part"] not in args.parts or row["method"] not in args.methods:
        return False
    if row["part"] == "heads":
        return True
    first = PLANTED_SEED if row["part"] == "planted" else 0
    return (
        int(row["n"]) in args.players
        and float(row["alpha"]) in args.alphas
        and row["game"] in {f"seed {first + s}" for s in args.seeds}
    )


if __name__ == "__main__":
    main()
