"""How many rows (questions under masks) does a good spectrum need? See the README beside this file.

    python analyses/benchmarks/rows/run.py
    python analyses/benchmarks/rows/run.py --model smollm2 --tasks circuits/ioi --pilot 80 --truth 150 8 \
        --whole 10 20 40 80 --rows 150 300 600 1200 --asked auto --sparse auto proxyspex

Answers are kept under ``--out``, so that a stopped run goes on; what is in the results is not measured again.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
from table_rows import append, read
from tables import ALL, figure, tables

import spex_mech as sm
from spex_mech.core.faithfulness import answers_r2, r2_interval

HERE = Path(__file__).parent
TABLE = HERE / "results.csv"
SUBJECTS = ("boxes", "capitals", "kinds", "moves", "order", "people", "travel")
FIELDS = (
    "model",
    "task",
    "seed",
    "questions",
    "method",
    "asked",
    "rows",
    "masks",
    "r2",
    "low",
    "high",
    "expected",
    "cpu",
)
METHODS = ("auto", "proxyspex", "lasso")


def main() -> None:
    """Measure what was asked for, and write results.csv, results.md and rows.png."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--tasks", nargs="*", default=[f"embedded/{name}" for name in SUBJECTS])
    parser.add_argument(
        "--data", help="folder of the questions, of a card that does not bring them"
    )
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument(
        "--pilot", type=int, default=240, help="budget that the pilot is a twentieth of"
    )
    parser.add_argument("--rows", type=int, nargs="*", default=[100, 200, 300, 600, 1200, 2400])
    parser.add_argument("--whole", type=int, nargs="*", default=[20, 40, 80, 160])
    parser.add_argument(
        "--asked", nargs="*", default=["auto"], help="auto, or questions for each mask"
    )
    parser.add_argument("--methods", nargs="*", default=METHODS, help="methods with all questions")
    parser.add_argument("--sparse", nargs="*", default=METHODS, help="methods with few questions")
    parser.add_argument(
        "--truth",
        type=int,
        nargs="+",
        default=[100],
        help="held-out masks, and questions of each if not all",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("runs/rows"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.tasks:
        model = sm.load_model(args.model)
        players = sm.select_players(model, "heads")
    for name in args.tasks:
        if args.data is not None and not Path(args.data).is_dir():
            print(f"{name} is skipped: there is no folder {args.data}")
            continue
        task = sm.load_task(name, data=args.data).first(args.questions)
        game = sm.TaskGame(model, task, players, metric="margin")
        for seed in args.seeds:
            measure(game, Path(name).stem if name.endswith(".toml") else name, seed, args)
    write()


def measure(game: sm.TaskGame, name: str, seed: int, args: argparse.Namespace) -> None:
    """All methods at all budgets on one task."""
    store = args.out / args.model / f"{name.replace('/', '_')}_{len(game.question_ids)}"
    rates = sm.find_keep_rates(game, args.pilot, questions="auto", seed=0, store=store)
    keep_rate, n = (rates.low, rates.high), game.players.n
    most = max([*args.rows, *args.whole])
    masks = sm.designs.biased(n, most, keep_rate=keep_rate, seed=seed).masks
    fresh = sm.designs.biased(n, args.truth[0], keep_rate=keep_rate, seed=1000)
    each = args.truth[1] if len(args.truth) > 1 else ALL
    held_out = sm.evaluate(game, fresh, questions=each, store=store, label="held out")
    kinds = [(asked, rows) for asked in args.asked for rows in args.rows]
    kinds += [(ALL, size) for size in args.whole]
    for asked, size in kinds:
        count, questions = _size(asked, size)
        design = sm.MaskDesign(masks[:count], seed, "biased", np.full(n, sum(keep_rate) / 2))
        key = (args.model, name, str(seed), str(len(game.question_ids)))
        methods = args.methods if asked == ALL else args.sparse if asked == "auto" else ["auto"]
        left = [method for method in methods if not known((*key, method, asked), count)]
        if not left:
            continue
        run = sm.evaluate(game, design, questions=questions, store=store)
        for method in left:
            began = time.process_time()
            spectrum = sm.decode(design, run, method=method, seed=seed)
            cpu = time.process_time() - began
            r2, low, high = faithfulness(spectrum, held_out)
            expected = spectrum.info.get("r2_cv", float("nan"))
            numbers = (f"{number:.4f}" for number in (r2, low, high, expected))
            found = (*key, method, asked, run.rows, count, *numbers, f"{cpu:.1f}")
            append(TABLE, dict(zip(FIELDS, found, strict=True)))
            print(
                *key,
                method,
                asked,
                run.rows,
                f"R² {r2:.3f} [{low:.3f}, {high:.3f}], {cpu:.1f} s",
                flush=True,
            )


def faithfulness(spectrum: sm.Spectrum, held_out: sm.Run) -> tuple[float, float, float]:
    """R² of the mean over all questions on held-out masks, with a 95 % interval over these masks."""
    predicted = spectrum(held_out.masks)
    answers = held_out.answers
    if answers is None:
        found = r2_interval(predicted, held_out.values, seed=0)
    else:
        found = answers_r2(predicted, answers, answers.levels, seed=0)
    return found.mean, found.low, found.high


def known(key: tuple[str, ...], masks: int) -> bool:
    """Whether a method's result is there."""
    return any(
        tuple(r[f] for f in FIELDS[:6]) == key and int(r["masks"]) == masks for r in read(TABLE)
    )


def _size(asked: str, size: int) -> tuple[int, int | str]:
    """Number of masks, and the questions of each."""
    if asked == ALL:
        return size, ALL
    if asked == "auto":  # 1, and a second one of every fifth mask
        return round(size / 1.2), "auto"
    return size // int(asked), int(asked)


def write() -> None:
    """Write results.md and rows.png, and print the tables."""
    results = read(TABLE)
    (HERE / "results.md").write_text(tables(results), encoding="utf-8")
    figure(results).savefig(HERE / "rows.png", dpi=120)
    print((HERE / "results.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
