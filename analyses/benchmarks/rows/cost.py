"""What a row costs: rows (one question under one mask) per second, few questions a mask against all.

python analyses/benchmarks/rows/cost.py --models embedded smollm2
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

import spex_mech as sm
from spex_mech.tasks.task import ChoiceTask

ASKED = (1, 2, 4, 8)
TASKS = {"embedded": "embedded/people", "smollm2": "circuits/ioi"}
SHOTS = 5
KEEP = (0.5, 1.0)


def main() -> None:
    """Measure every model, set of players and prefix; print one table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--masks", type=int, default=4, help="masks that are asked all questions")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    counts = " | ".join(f"q = {q}" for q in ASKED)
    print(f"| model, players, shots | tokens of mask, question | rows/s, all | {counts} |")
    print("|---" * (3 + len(ASKED)) + "|")
    for name in args.models:
        model = sm.load_model(name)
        task = sm.load_task(TASKS[name]).first(args.questions)
        last = model.shape.n_layers - 1
        for shots, spec in ((0, "heads"), (0, f"heads:{last - 2}-{last}"), (SHOTS, "heads")):
            game = sm.TaskGame(model, with_shots(task, shots), sm.select_players(model, spec))
            seconds = measure(game, args.masks, args.repeats)
            rows = args.masks * len(game.question_ids)
            every = rows / np.median(seconds[None])
            ratios = " | ".join(
                f"{np.median(np.divide(seconds[None], seconds[q])):.2f}×" for q in ASKED
            )
            fixed, each = game.asking_cost()
            print(
                f"| {name}, {spec}, {shots} | {fixed:.0f}, {each:.1f} | {every:.0f} | {ratios} |",
                flush=True,
            )


def with_shots(task: ChoiceTask, shots: int) -> ChoiceTask:
    """The task with examples of its validation split, and their answers, before every question."""
    shown = task.select("validation")[:shots]
    before = "".join(f"{x.prompt} {x.options[x.answer].strip()}\n" for x in shown)
    return replace(
        task, examples=tuple(replace(x, prompt=before + x.prompt) for x in task.examples)
    )


def measure(game: sm.TaskGame, masks: int, repeats: int) -> dict[int | None, list[float]]:
    """CPU seconds of the same number of rows, by questions a mask (None for all), interleaved."""
    rng = np.random.default_rng(0)
    count = len(game.question_ids)

    def drawn(m: int) -> np.ndarray:
        return rng.random((m, game.players.n)) < rng.uniform(*KEEP, (m, 1))

    def asking(q: int | None) -> Callable[[], object]:
        if q is None:
            few = drawn(masks)
            return lambda: game.scores(few)
        many = drawn(masks * count // q)
        order = [rng.permutation(count) for _ in range(-(-len(many) * q // count) + 1)]
        turns = [o[i : i + q] for o in order for i in range(0, count - q + 1, q)]
        questions = np.stack(turns[: len(many)])
        return lambda: game.asked_scores(many[: len(questions)], questions)

    game.scores(drawn(1))  # the proof, and what no mask changes
    game.asked_scores(drawn(1), np.zeros((1, 1), dtype=np.int64))
    seconds: dict[int | None, list[float]] = {q: [] for q in (None, *ASKED)}
    for _ in range(repeats):
        for q, taken in seconds.items():
            run = asking(q)
            began = time.process_time()
            run()
            taken.append(time.process_time() - began)
    return seconds


if __name__ == "__main__":
    main()
