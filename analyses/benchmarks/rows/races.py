"""Do races find better sets for the same rows? The search for kept heads of the embedded model, both ways.

python analyses/benchmarks/rows/races.py --seeds 5

Each seed draws its own 60 search questions and its own design of 100 masks, which are asked 2 questions each.
The same spectrum is searched with all questions under every mask and with races, for as many rows; and with
races for a quarter of the rows. Kept sets are scored on 200 questions that no search has seen; intervals are
over seeds and questions (`repeated_difference`). Appends to results/races.jsonl what is not there yet.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from dataclasses import replace
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np

import spex_mech as sm
from spex_mech.core.significance import repeated_difference
from spex_mech.pruning.curve import keep_rates, prune_curve
from spex_mech.tasks.splits import resplit
from spex_mech.tasks.task import ChoiceTask

RESULTS = Path(__file__).parent / "results" / "races.jsonl"
SUBJECTS = ("people", "boxes")
KEEPS = (20, 16, 12, 10)
SEARCH, TEST = 60, 200  # questions
DESIGN = 100  # masks
FULL = 80  # ablations of a search, each of all questions
WAYS = {
    "all": ("all", FULL),
    "races": ("auto", FULL),
    "all, a quarter": ("all", FULL // 4),
    "races, a quarter": ("auto", FULL // 4),
}
METRICS = ("margin", "accuracy")


def main() -> None:
    """Search what has not been searched, and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    RESULTS.parent.mkdir(exist_ok=True)
    rows = read()
    model = sm.load_model("embedded")
    for seed in range(args.seeds):
        for subject in SUBJECTS:
            done = {row["way"] for row in rows if (row["subject"], row["seed"]) == (subject, seed)}
            if done < WAYS.keys():
                new = searched(model, subject, seed)
                rows += new
                with RESULTS.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps(row) + "\n" for row in new)
    report([row for row in rows if row["seed"] < args.seeds])


def read() -> list[dict]:
    """What was searched before."""
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]


def searched(model: sm.Model, subject: str, seed: int) -> list[dict]:
    """The sets that every way finds, with their answers to the test questions."""
    task = drawn(subject, seed)
    players = sm.select_players(model)
    game, test = (
        sm.TaskGame(model, task, players, split=split, metric="margin")
        for split in ("search", "test")
    )
    design = sm.designs.biased(players.n, DESIGN, keep_rate=keep_rates(KEEPS, players.n), seed=seed)
    run = sm.evaluate(game, design, questions=2, progress=False)
    spectrum = sm.decode(design, run, seed=seed)
    rows = []
    for way, (questions, validate) in WAYS.items():
        begin = time.process_time()
        curve = prune_curve(
            game,
            spectrum,
            keeps=KEEPS,
            validate=validate,
            known=run,
            questions=questions,
            seed=seed,
        )
        seconds = time.process_time() - begin
        scores = test.scores(curve.masks)
        rows.append(
            {
                "subject": subject,
                "seed": seed,
                "way": way,
                "ablations": curve.ablations,
                "measured": [point.measured for point in curve.points],
                "questions": list(test.question_ids),
                "seconds": round(seconds, 1),
                **{
                    name: test.per_example(scores, metric=name).round(4).tolist()
                    for name in METRICS
                },
            }
        )
        print(subject, seed, way, np.round(np.mean(rows[-1]["margin"], axis=1), 3), flush=True)
    return rows


def drawn(subject: str, seed: int) -> ChoiceTask:
    """A subject's questions as one seed draws them; test questions are those of the card."""
    whole = resplit(sm.load_task(f"embedded/{subject}"), seed=seed, splits=("search", "validation"))

    def order(example: object) -> str:
        return hashlib.sha256(f"{seed} {example.id}".encode()).hexdigest()

    parts = (("search", SEARCH), ("test", TEST))
    kept = [x for name, count in parts for x in sorted(whole.select(name), key=order)[:count]]
    return replace(whole, examples=tuple(kept))


def report(rows: list[dict]) -> None:
    """Print each way's means, and its differences from all questions at full rows."""
    by = {(row["subject"], row["seed"], row["way"]): row for row in rows}
    seeds = sorted({row["seed"] for row in rows})
    for subject in SUBJECTS:
        for metric in METRICS:
            for way in WAYS:
                a, b, questions = [], [], []
                for seed in seeds:
                    a.append(np.mean(by[subject, seed, way][metric], axis=0))
                    b.append(np.mean(by[subject, seed, "all"][metric], axis=0))
                    questions.append(by[subject, seed, way]["questions"])
                line = f"{subject} {metric} {way}: {np.mean(a):.3f}"
                if way != "all" and len(seeds) > 1:
                    line += f", minus all {repeated_difference(a, b, questions)}"
                cpu = np.mean([by[subject, seed, way]["seconds"] for seed in seeds])
                print(f"{line}, {cpu:.1f} CPU seconds")


if __name__ == "__main__":
    main()
