"""Is the number of questions per mask that `auto` chooses the best one? See the README beside this file.

    python analyses/benchmarks/rows/choice.py --tasks embedded/people embedded/capitals --shots 5
    python analyses/benchmarks/rows/choice.py --tasks embedded/people embedded/boxes --shots 0

Every number of questions spends the same tokens: those of a number of masks that are asked one question each.
Answers are kept under ``--out``; what is in choice.csv is not measured again.
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

sys.path.insert(0, str(Path(__file__).parents[2]))
from cost import with_shots
from table_rows import append, read
from tables import needed

import spex_mech as sm
from spex_mech.evaluation.questions import choose_questions

HERE = Path(__file__).parent
TABLE = HERE / "choice.csv"
FIELDS = (
    *("model", "task", "shots", "seed", "asked", "budget"),
    *("each", "masks", "rows", "tokens", "r2"),
)
LEVELS = (0.7, 0.8, 0.85, 0.9)
AUTO = "auto"
LEAST = 10  # masks


def main() -> None:
    """Measure every number of questions on every task, and write choice.csv and choice.md."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--tasks", nargs="*", default=["embedded/people", "embedded/capitals"])
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--asked", nargs="+", default=[AUTO, "1", "2", "4", "8"])
    parser.add_argument("--budgets", type=int, nargs="+", default=[75, 150, 300, 600])
    parser.add_argument("--truth", type=int, default=100, help="held-out masks with all questions")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("runs/rows"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.tasks:
        model = sm.load_model(args.model)
        players = sm.select_players(model, "heads")
    for name in args.tasks:
        task = with_shots(sm.load_task(name).first(args.questions), args.shots)
        game = sm.TaskGame(model, task, players, metric="margin")
        for seed in args.seeds:
            measure(game, name, seed, args)
    (HERE / "choice.md").write_text(table(read(TABLE)), encoding="utf-8")
    print((HERE / "choice.md").read_text(encoding="utf-8"))


def measure(game: sm.TaskGame, name: str, seed: int, args: argparse.Namespace) -> None:
    """All numbers of questions at all budgets on one task."""
    store = args.out / args.model / f"{name.replace('/', '_')}_{args.questions}_{args.shots}_shots"
    fixed, per_question = game.asking_cost()
    rates = sm.find_keep_rates(game, 240, questions=AUTO, seed=0, store=store)
    assert rates.run is not None
    choice = choose_questions(game.asking_cost(), args.questions, rates.run.answers)
    print(f"{name}, {args.shots} shots: {choice.message}", flush=True)
    keep_rate, n = (rates.low, rates.high), game.players.n
    masks = sm.designs.biased(n, max(args.budgets), keep_rate=keep_rate, seed=seed).masks
    fresh = sm.designs.biased(n, args.truth, keep_rate=keep_rate, seed=1000)
    truth = sm.evaluate(game, fresh, store=store, label="held out").values
    for asked in args.asked:
        each = choice.each if asked == AUTO else int(asked)
        for budget in args.budgets:
            key = (args.model, name, str(args.shots), str(seed), asked, str(budget))
            count = int(budget * (fixed + per_question) / (fixed + each * per_question))
            if count < LEAST or any(tuple(r[f] for f in FIELDS[:6]) == key for r in read(TABLE)):
                continue
            design = sm.MaskDesign(masks[:count], seed, "biased", np.full(n, sum(keep_rate) / 2))
            questions = AUTO if asked == AUTO else each
            run = sm.evaluate(game, design, questions=questions, store=store)
            spectrum = sm.decode(design, run, method="auto", seed=seed)
            r2 = sm.faithfulness(spectrum, fresh.masks, truth)
            tokens = count * fixed + run.rows * per_question
            found = (*key, each, count, run.rows, f"{tokens:.0f}", f"{r2:.4f}")
            append(TABLE, dict(zip(FIELDS, found, strict=True)))
            print(*key, f"{each} for each of {count} masks: R² {r2:.3f}", flush=True)


def table(results: list[dict[str, str]]) -> str:
    """Tokens to each level by the number of questions, and those of `auto` over the fewest."""
    asked = list(dict.fromkeys(r["asked"] for r in results))
    names = ["task, shots", "R²", "chosen", *asked, "`auto` / best"]
    text = (
        f"Thousands of tokens to an R².\n\n| {' | '.join(names)} |\n" + "|---" * len(names) + "|\n"
    )
    for task in dict.fromkeys((r["task"], r["shots"]) for r in results):
        some = [r for r in results if (r["task"], r["shots"]) == task]
        chosen = "/".join(sorted({r["each"] for r in some if r["asked"] == AUTO}))
        for level in LEVELS:
            found = {a: tokens_needed([r for r in some if r["asked"] == a], level) for a in asked}
            fixed = [tokens for a, tokens in found.items() if a != AUTO and np.isfinite(tokens)]
            if not fixed:
                continue
            cells = [f"{t / 1000:.1f}" if np.isfinite(t) else "more" for t in found.values()]
            cells = [
                ", ".join(task),
                str(level),
                chosen,
                *cells,
                f"{found.get(AUTO, np.nan) / min(fixed):.2f}",
            ]
            text += f"| {' | '.join(cells)} |\n"
    return text


def tokens_needed(some: list[dict[str, str]], level: float) -> float:
    """Tokens to a level, the mean over seeds of their logarithms; NaN where a seed did not reach it."""
    found = []
    for seed in dict.fromkeys(r["seed"] for r in some):
        of_seed = [r for r in some if r["seed"] == seed]
        tokens, r2 = (np.array([float(r[k]) for r in of_seed]) for k in ("tokens", "r2"))
        found.append(needed(tokens, r2, level))
    return float(np.exp(np.mean(np.log(found)))) if found else float("nan")


if __name__ == "__main__":
    main()
