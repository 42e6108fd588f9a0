"""Does pruning heads of a trained model improve grammar questions? See the README beside this file.

    python analyses/head_pruning_real/run.py
    python analyses/head_pruning_real/run.py --tasks circuits/ioi
    python analyses/head_pruning_real/run.py --paper

A task is a set of BLiMP, which is asked by its beginnings (cards.py), or the name of a task card. The run of
each task stays under ``--out``, so that a stopped one goes on; what is in the results is not measured again.
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

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path += [str(HERE), str(HERE.parent)]

from cards import write_card
from pruned_figures import write
from table_rows import append, read

from spex_mech.core.estimates import paired_difference
from spex_mech.core.significance import mcnemar
from spex_mech.evaluation.stored_run import open_run
from spex_mech.pruning.prune import OURS
from spex_mech.run.opening import open_folder
from spex_mech.run.records import spectrum_from_json
from spex_mech.run.scores import score_folder
from spex_mech.run.setup import Setup, prepare
from spex_mech.run.spec_file import read_spec
from spex_mech.run.steps import run

SETS = (
    "distractor_agreement_relative_clause",
    "regular_plural_subject_verb_agreement_1",
    "distractor_agreement_relational_noun",
)
RAISERS = 8  # heads of which the spectrum expects most once they are gone


def main() -> None:
    """Run what is not in the results yet, and write the tables and the figure."""
    args = arguments()
    torch.set_num_threads(1)
    heads = args.results.with_name("heads.csv")
    for task in args.tasks:
        missing = [p for p in (args.results, heads) if task not in {r["task"] for r in read(p)}]
        if not missing:
            continue
        if "/" not in task and not (args.data / f"{task}.jsonl").is_file():
            print(f"{task} is left out: {args.data} has no {task}.jsonl; give --data", flush=True)
            continue
        folder = args.out / task.replace("/", "-")
        card = task if "/" in task else write_card(task, args.data, args.out / "cards")
        setup = prepare(read_spec(args.spec, [f"task={card}", *args.set]), pruning=True)
        if not (folder / "results.json").exists():
            run(setup, folder)
        for path in missing:
            for row in raisers(setup, folder) if path == heads else scores(folder):
                append(path, {"task": task} | row)
    print(write(read(args.results), read(heads), args.results.parent))


def scores(path: Path) -> list[dict[str, object]]:
    """Every kept set on the test questions, ours with McNemar's test against the full model."""
    folder = open_folder(path)
    table, stored = score_folder(folder), open_run(folder.test)
    right = stored.with_metric("accuracy")
    full = np.ones((1, stored.players.n), dtype=bool)
    rows = []
    for point in table.points:
        masks = np.concatenate([full, point.kept.mask[None]])
        before, after = right.per_example(masks)
        test = mcnemar(after, before)
        rows.append(
            {
                "heads": point.kept.keep,
                "method": point.kept.method,
                **{name: round(value.mean, 4) for name, value in point.metrics.items()},
                **{f"full {name}": round(value.mean, 4) for name, value in table.full.items()},
                **{f"{name} minus full": str(value) for name, value in point.change.items()},
                **{f"{name}, ours minus it": str(point.gains.get(name, "")) for name in table.full},
                "only pruned right": test.only_a,
                "only full right": test.only_b,
                "questions": test.n,
                "p": f"{test.p:.3g}",
            }
        )
    return sorted(rows, key=lambda r: (-int(r["heads"]), r["method"] != OURS))


def raisers(setup: Setup, path: Path) -> list[dict[str, object]]:
    """The heads that the spectrum would remove first, each removed alone on the test questions."""
    folder, players = open_folder(path), setup.players
    spectrum = folder.read("spectrum.json", lambda content: spectrum_from_json(content, players))
    whole = np.ones((1, players.n), dtype=bool)
    without = ~np.eye(players.n, dtype=bool)
    expected = spectrum(without) - spectrum(whole)
    chosen = np.argsort(-expected, kind="stable")[:RAISERS]
    game = setup.game.with_split("test")
    full, *gone = game.per_question(np.concatenate([whole, without[chosen]]))
    rows = []
    for head, margins in zip(chosen, gone, strict=True):
        level = 1 - 0.05 / RAISERS  # all of them together have 95 %
        change = paired_difference(margins, full, seed=0, level=level)
        rows.append(
            {
                "head": players.names[head],
                "expected": round(float(expected[head]), 3),
                "change": str(change),
                "right": round(float((margins > 0).mean() - (full > 0).mean()), 4),
            }
        )
    return rows


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=list(SETS))
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "blimp")
    parser.add_argument("--spec", type=Path, default=HERE / "sizes.toml")
    parser.add_argument(
        "--set", action="append", default=["prune.export=none"], metavar="KEY=VALUE"
    )
    parser.add_argument("--results", type=Path, default=HERE / "results.csv")
    parser.add_argument("--out", type=Path, default=Path("runs/head_pruning_real"))
    parser.add_argument(
        "--paper",
        action="store_true",
        help="the paper's setting: Llama-3.1-8B-Instruct on MMLU's US history, 5,000 masks, 120 questions to "
        "search, rescaled; needs the hub and a GPU",
    )
    args = parser.parse_args()
    if args.paper:
        args.tasks, args.results = ["mmlu/high_school_us_history"], HERE / "results_paper.csv"
        args.set += ["model=meta-llama/Llama-3.1-8B-Instruct", "players=heads:0-2,13-15,29-31"]
        args.set += ["asking.shots=5", "asking.cut=published", "game.rescale=true"]
        args.set += ["game.examples=120", "design.budget=5000", "prune.keep=[0.9, 0.8, 0.7]"]
    return args


if __name__ == "__main__":
    main()
