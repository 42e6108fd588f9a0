"""How faithful are circuits of SmolLM2's heads, ours and those of rivals? See the README beside this file.

    python analyses/real_circuits/run.py

A method of a split that is in results.jsonl is not run again, and a stopped one goes on from its store.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
import circuit_questions
import circuit_rankings
import circuit_summary

import spex_mech as sm
from spex_mech.core.masks import mask_keys
from spex_mech.evaluation.wrappers import per_question

HERE = Path(__file__).parent
RIVALS = (
    "NAP-IG", "AtP", "knock-out", "greedy removal", "surrogate search", "LASSO", "stratified knock-outs",
)  # fmt: skip
TESTED = {"ioi": 20, "agreement": 32, "greater_than": 24}


def main() -> None:
    """Measure, and write results.jsonl, results.md and curves.png."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument(
        "--tasks", nargs="+", default=circuit_questions.NAMES, choices=circuit_questions.NAMES
    )
    parser.add_argument("--splits", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--methods", nargs="*", default=RIVALS, choices=RIVALS, help="rivals")
    parser.add_argument("--rows", type=int, default=1080)
    parser.add_argument("--runs", type=Path, default=Path("runs/real_circuits"), help="the stores")
    parser.add_argument("--out", type=Path, default=HERE)
    args = parser.parse_args()
    torch.set_num_threads(1)
    path = args.out / "results.jsonl"
    model = sm.load_model(args.model)
    for name in args.tasks:
        for split in args.splits:
            measure(model, name, split, args, path)
    lines = circuit_summary.read(path)
    (args.out / "results.md").write_text(circuit_summary.table(lines), encoding="utf-8")
    circuit_summary.figure(lines).savefig(args.out / "curves.png", dpi=110)
    print(circuit_summary.table(lines))


def measure(model: sm.Model, name: str, split: int, args: argparse.Namespace, path: Path) -> None:
    """Every method of one split that is not in the results yet."""
    done = {
        x["method"] for x in circuit_summary.read(path) if (x["task"], x["split"]) == (name, split)
    }
    wanted = {m for m in args.methods if m not in done}
    if circuit_rankings.OURS in done and not wanted:
        return
    task = sm.resplit(circuit_questions.load(name), seed=split)
    players = sm.select_players(model, "heads")
    folder = args.runs / f"{name}-{split}"

    def game_of(count: int, part: str = "search") -> sm.TaskGame:
        return sm.TaskGame(
            model, task.first(count, part), players, split=part, ablation="counterfactual"
        )

    test = game_of(TESTED[name], "test")
    keeps = circuit_summary.keeps(players.n)

    def write(method: str, masks: np.ndarray, rows: int, **more: Any) -> None:
        values = per_question(test, masks, store=folder / "test", progress=False)
        line = {"task": name, "split": split, "method": method, "rows": rows, **more}
        line |= {
            "kept": [key.hex() for key in mask_keys(masks)],
            "margins": values.round(3).tolist(),
        }
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(name, split, method, rows, values.mean(axis=1).round(2), flush=True)

    if circuit_summary.ENDS not in done:
        ends = np.stack([np.ones(players.n, dtype=bool), np.zeros(players.n, dtype=bool)])
        write(circuit_summary.ENDS, ends, 0, questions=list(test.question_ids))
    if circuit_rankings.OURS not in done:
        for kept in circuit_rankings.ours(game_of, keeps, args.rows, split, folder / "search"):
            write(kept.method, kept.masks, kept.rows)
    for kept in circuit_rankings.rivals(
        game_of, keeps, args.rows, split, folder / "search", wanted
    ):
        write(kept.method, kept.masks, kept.rows)


if __name__ == "__main__":
    main()
