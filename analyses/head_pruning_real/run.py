"""Does pruning heads of a trained model improve its answers? See the README beside this file.

    python analyses/head_pruning_real/run.py --group last
    python analyses/head_pruning_real/run.py --group middle --splits 3 --tasks ioi agreement
    python analyses/head_pruning_real/run.py --paper

Every method chooses heads of one group of layers on the search questions of a draw. What it kept is then
asked the test questions of that draw, as is the model without each head alone. A draw of a set is a file
under ``kept``, and is not measured again.
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

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path += [str(HERE), str(HERE.parent)]

from cards import SPLITS, drawn, load, one_token_of
from paper import LLAMA, parse
from pruned_study import Draw
from pruned_tables import write

import spex_mech as sm
from spex_mech.pruning.compare import METHODS, choose_all
from spex_mech.pruning.methods import Remembered
from spex_mech.tasks.task import ChoiceTask

SETS = (
    "ioi",
    "agreement",
    "greater_than",
    "regular_plural_subject_verb_agreement_1",
    "distractor_agreement_relational_noun",
    "distractor_agreement_relative_clause",
)
GROUPS = {
    "smollm2": {"early": "0-2", "middle": "14-16", "last": "27-29"},
    LLAMA: {"early": "0-2", "middle": "13-15", "last": "29-31"},
}
COMPARED = ("ours", "lasso ranking", "taylor", "greedy removal", "best of random")


def main() -> None:
    """Measure what is missing, and write the tables and the figures."""
    args = arguments()
    torch.set_num_threads(1)
    args.kept.mkdir(parents=True, exist_ok=True)
    model = None
    for split in range(args.splits):
        for name in args.tasks:
            path = args.kept / f"{args.group}-{name.replace('/', '-')}-{split}.npz"
            if path.exists():
                continue
            if not ("/" in name or name in SETS[:3] or (args.data / f"{name}.jsonl").is_file()):
                print(f"{name} is left out: {args.data} has no {name}.jsonl; give --data")
                continue
            model = model or sm.load_model(args.model)
            draw = measure(model, task_of(model, name, split, args), name, split, args)
            draw.save(path)
            print(args.group, name, split, *draw.seconds.round(1), flush=True)
    print(write(args.kept, args.results))


def task_of(model: sm.Model, name: str, split: int, args: argparse.Namespace) -> ChoiceTask:
    """Search and test questions of one draw; with ``--paper`` the paper's cut of MMLU."""
    if args.paper and name.startswith("mmlu/"):
        return sm.load_task(name, shots=0, cut="published", seed=split)
    task = load(name, data=args.data, folder=args.out, one_token=one_token_of(model))
    return drawn(task, split, search=args.search, test=args.test)


def measure(
    model: sm.Model, task: ChoiceTask, name: str, split: int, args: argparse.Namespace
) -> Draw:
    """Let every method choose, and ask what it kept, and the model without each head, the test questions."""
    layers = GROUPS.get(args.model, {}).get(args.group)
    players = sm.select_players(model, f"heads:{layers}" if layers else "heads")
    search, test = (
        sm.TaskGame(model, task, players, split=part, metric="margin", rescale=args.paper)
        for part in ("search", "test")
    )
    asked, keeps = Remembered(search), [round(share * players.n) for share in args.keep]
    masks, spent, seconds = [], [], []
    for method in COMPARED:
        began = time.process_time()
        chosen = choose_all(
            asked,
            keeps,
            budget=args.budget,
            seed=split,
            methods={method: METHODS[method]},
            questions="auto",
        )
        seconds.append(time.process_time() - began)
        masks.append([kept.mask for kept in chosen])
        spent.append(chosen[0].ablations)
    began, full = time.process_time(), np.ones((1, players.n), dtype=bool)
    kept = np.array(masks)
    whole, *margins = test.per_question(np.concatenate([full, kept.reshape(-1, players.n)]))
    single = ~np.eye(players.n, dtype=bool)
    alone = test.per_question(single[: players.n * args.single])
    seconds.append(time.process_time() - began)
    return Draw(
        group=args.group,
        task=name,
        split=split,
        methods=COMPARED,
        keeps=tuple(keeps),
        heads=tuple(players.names),
        questions=test.question_ids,
        kept=kept,
        full=whole,
        margins=np.array(margins).reshape(*kept.shape[:2], -1),
        alone=alone,
        spent=np.array(spent),
        seconds=np.array(seconds),
    )


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--group", default="last", choices=["early", "middle", "last", "all"])
    parser.add_argument("--tasks", nargs="+", default=list(SETS))
    parser.add_argument("--splits", type=int, default=SPLITS, help="draws of questions")
    parser.add_argument("--keep", type=float, nargs="+", default=[0.9, 0.7, 0.5, 0.3, 0.2])
    parser.add_argument("--search", type=int, default=24, help="search questions of a draw")
    parser.add_argument("--test", type=int, default=60, help="most test questions of a draw")
    parser.add_argument("--budget", type=int, default=150, help="ablations of each method")
    parser.add_argument(
        "--single",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="ask the test questions of the model without each head alone, too",
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "blimp")
    parser.add_argument("--results", type=Path, default=HERE / "results.csv")
    parser.add_argument("--out", type=Path, default=Path("runs/head_pruning_real"))
    args = parse(
        parser,
        "the paper's setting: Llama-3.1-8B-Instruct on MMLU's US history, 5,000 ablations, 120 search "
        "questions, rescaled; needs the hub and a GPU",
        model=LLAMA,
        tasks=["mmlu/high_school_us_history"],
        budget=5000,
        keep=[0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2],
        results=HERE / "paper" / "results.csv",
    )
    args.kept = args.results.with_name(args.results.stem.replace("results", "kept"))
    return args


if __name__ == "__main__":
    main()
