"""The same comparison with a quarter of the rows for every method: few questions for each mask, and races.

    python analyses/head_pruning/quarter.py            everything that is missing, then tables and a figure
    python analyses/head_pruning/quarter.py choose     only the kept sets
    python analyses/head_pruning/quarter.py score      only the test, of what has been chosen
    python analyses/head_pruning/quarter.py report     only tables and the figure

Splits, sizes and questions are those of run.py, and its kept sets are compared with. A row is one question
asked of the model with some heads removed; a quarter of 320 ablations on 40 questions is 3,200 rows. Methods
that take 32 ablations or fewer choose the same with a quarter of the rows; their sets are those of run.py.
"""

from __future__ import annotations

import argparse

import figures
import numpy as np
import report
import torch
from comparisons import Study
from run import RESULTS, choose, say
from study import CONFIG, METRICS, Rows, Scores, mask_of

QUARTER = RESULTS / "quarter"
WHOLE = ", all rows"  # added to the name of a method that had all rows


def main() -> None:
    """Do the stages asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="*", default=["choose", "score", "report"])
    parser.add_argument("--seeds", nargs="+", type=int, default=CONFIG["seeds"])
    parser.add_argument("--methods", nargs="+", default=CONFIG["quarter"]["methods"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    QUARTER.mkdir(parents=True, exist_ok=True)
    rows, scores = Rows(QUARTER / "choices.jsonl"), Scores(RESULTS / "scores")
    if "choose" in args.stages:
        budget = CONFIG["quarter"]["budget"]
        choose(rows, args.seeds, args.methods, budget=budget, questions="auto")
    wanted = [row for row in rows if row["method"] in args.methods and row["seed"] in args.seeds]
    if "score" in args.stages:
        score(wanted, scores)
    if "report" in args.stages:
        write_report(wanted, scores)


def score(rows: list[dict], scores: Scores) -> None:
    """The test: every kept set once."""
    chosen: dict[tuple[str, int], list[np.ndarray]] = {}
    for row in rows:
        masks = chosen.setdefault((row["subject"], row["seed"]), [])
        masks += map(mask_of, row["kept"].values())
    for (subject, seed), masks in chosen.items():
        scores.margins(subject, seed, np.stack(masks))
        say(f"seed {seed} {subject}: {len(masks)} sets tested")


def write_report(rows: list[dict], scores: Scores) -> None:
    """Write the tables and the figure of the splits that are complete."""
    methods = CONFIG["quarter"]["methods"]
    whole = list(Rows(RESULTS / "choices.jsonl"))
    every = [
        *rows,
        *(row for row in whole if row["method"] not in methods),
        *(row | {"method": row["method"] + WHOLE} for row in whole if row["method"] in methods),
    ]
    study = Study(every, scores)
    if len(study.seeds) < 2:
        print(f"splits {study.seeds} are complete; the report needs two or more")
        return
    parts = [
        f"Splits {', '.join(map(str, study.seeds))}; {CONFIG['quarter']['budget']} ablations' worth of rows "
        f'a method, {CONFIG["budget"]} where it says "{WHOLE[2:]}". Written by quarter.py.',
        report.spent(study, every),
        *(report.averages(study, metric) for metric in METRICS),
        *(report.verdicts(study, metric) for metric in METRICS),
        *(report.means(study, metric) for metric in METRICS),
    ]
    (QUARTER / "tables.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    figures.gains(study, QUARTER / "gains.png")


if __name__ == "__main__":
    main()
