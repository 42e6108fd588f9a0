"""Do heads of later layers interact more, and within their layer? See the README beside this file.

    python analyses/depth/run.py
    python analyses/depth/run.py --model embedded
    python analyses/depth/run.py --paper

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

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path += [str(HERE), str(HERE.parent)]

from figures import write
from paper import LLAMA, parse
from table_rows import append, read

import spex_mech as sm
from spex_mech.core.energy import energy_by_layers, energy_by_order
from spex_mech.core.faithfulness import answers_r2

CARDS = ROOT / "analyses" / "real_models" / "tasks"
TASKS = {
    "ioi": "circuits/ioi",
    "agreement": str(CARDS / "agreement.toml"),
    "pronouns": "circuits/pronouns",
    "determiner": "blimp/determiner_noun_agreement_1",
    **{
        name: f"embedded/{name}"
        for name in ("boxes", "capitals", "kinds", "moves", "order", "people", "travel")
    },
    "us_history": "mmlu/high_school_us_history",
}
GROUPS = {
    "smollm2": {"early": "0-2", "middle": "14-16", "late": "27-29"},
    "embedded": {"0-1": "0-1", "1-2": "1-2", "2-3": "2-3"},
    LLAMA: {"early": "0-2", "middle": "13-15", "late": "29-31"},
}
OF_MODEL = {
    "smollm2": ("ioi", "agreement", "pronouns", "determiner"),
    "embedded": ("boxes", "capitals", "kinds", "moves", "order", "people", "travel"),
    LLAMA: ("us_history",),
}
TERMS = 800  # all 378 heads and pairs of heads, and larger sets


def main() -> None:
    """Measure what was asked for, and write the table and the figure."""
    args = arguments()
    torch.set_num_threads(1)
    model = None
    for split in range(args.splits):
        for name in args.tasks:
            for group, layers in GROUPS[args.model].items():
                if group not in (args.groups or [group]) or known(args, name, group, split):
                    continue
                model = model or sm.load_model(args.model)
                row = measure(model, args, name, layers, split)
                shown = {"model": args.model, "task": name, "group": group, "split": split}
                append(args.results, shown | row)
                print(*shown.values(), *row.values(), flush=True)
    print(write(read(args.results), args.results))


def measure(
    model: sm.Model, args: argparse.Namespace, name: str, layers: str, split: int
) -> dict[str, object]:
    """Decode the heads of some layers on one task, with the questions and masks of one split."""
    task = sm.load_task(TASKS[name], data=args.data if name == "determiner" else None)
    task = sm.resplit(task, seed=split).first(args.questions)
    players = sm.select_players(model, f"heads:{layers}")
    game = sm.TaskGame(model, task, players, metric=args.metric, rescale=args.rescale)
    store = args.out / args.model.replace("/", "_") / f"{name}-{layers}-{split}"
    began = time.process_time()
    each = 1.2 if args.asked == "auto" else args.questions
    design = sm.designs.uniform(players.n, round(args.rows / each), seed=split)
    fresh = sm.designs.uniform(players.n, args.held_out, seed=1000 + split)
    asked = "all" if args.asked == "all" else min(2, args.questions)
    run = sm.evaluate(game, design, questions=args.asked, store=store)
    check = sm.evaluate(game, fresh, questions=asked, store=store, label="held out")
    full = float(game(np.ones((1, players.n), dtype=bool))[0])
    accuracy = float(
        game.per_question(np.ones((1, players.n), dtype=bool), metric="accuracy").mean()
    )
    spent = time.process_time() - began
    spectrum = sm.decode(design, run, method="stack", terms=TERMS, seed=split)
    single = spectrum.degrees <= 1
    linear = sm.Spectrum(spectrum.words[single], spectrum.coefficients[single], spectrum.n)
    shares, layered = energy_by_order(spectrum), energy_by_layers(spectrum, players)
    higher = sum(share for order, share in shares.items() if order > 2)
    orders: dict[str, object] = dict.fromkeys(("order 1", "order 2", "order 3+"), "")
    if shares:  # of a constant there are none
        found = (shares.get(1, 0.0), shares.get(2, 0.0), higher)
        orders = {name: round(share, 4) for name, share in zip(orders, found, strict=True)}
    return {
        "players": players.n,
        "rows": run.rows,
        "masks": len(design),
        "full": round(full, 3),
        "accuracy": round(accuracy, 3),
        "mean": round(spectrum[()], 3),
        **orders,
        "within": "" if layered is None else round(layered.within, 4),
        "chance": "" if layered is None else round(layered.within_by_chance, 4),
        "missed": round(spectrum.info.get("readout_loss", 0.0), 4),
        "R2 all": round(fit(spectrum, run, check), 3),
        "R2 single": round(fit(linear, run, check), 3),
        "evaluation": round(spent, 1),
        "decoding": round(time.process_time() - began - spent, 1),
    }


def fit(spectrum: sm.Spectrum, run: sm.Run, check: sm.Run) -> float:
    """R² on held-out masks, with the noise of single answers taken off; NaN where there is nothing else."""
    try:
        if check.answers is None or run.answers is None:
            return sm.faithfulness(spectrum, check.masks, check.values)
        predicted = spectrum(check.masks)
        return answers_r2(predicted, check.answers, run.answers.levels, seed=0, draws=2).mean
    except sm.InputError:
        return float("nan")


def known(args: argparse.Namespace, name: str, group: str, split: int) -> bool:
    """Whether a row is in the results."""
    key = (args.model, name, group, str(split))
    return any((r["model"], r["task"], r["group"], r["split"]) == key for r in read(args.results))


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2", choices=sorted(GROUPS))
    parser.add_argument("--tasks", nargs="+", choices=sorted(TASKS), help="by default the model's")
    parser.add_argument("--groups", nargs="+", help="groups of layers; by default all of the model")
    parser.add_argument("--questions", type=int, default=24, help="search questions of a split")
    parser.add_argument("--rows", type=int, default=800, help="answers to decode")
    parser.add_argument("--held-out", type=int, default=150, help="masks, asked two questions each")
    parser.add_argument("--splits", type=int, default=3, help="draws of questions and masks")
    parser.add_argument("--asked", default="auto", choices=["auto", "all"])
    parser.add_argument("--metric", default="margin")
    parser.add_argument("--rescale", action="store_true", help="rescale the kept heads of a layer")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "blimp")
    parser.add_argument("--results", type=Path, default=HERE / "results.csv")
    parser.add_argument("--out", type=Path, default=Path("runs/depth"))
    args = parse(
        parser,
        "the paper's setting: Llama-3.1-8B-Instruct on MMLU's US history, 5,000 masks with all of 120 "
        "questions, accuracy, rescaled; needs the hub and a GPU",
        model=LLAMA,
        questions=120,
        rows=600_000,
        asked="all",
        metric="accuracy",
        rescale=True,
        held_out=500,
        results=HERE / "paper" / "results.csv",
    )
    args.tasks = args.tasks or list(OF_MODEL[args.model])
    return args


if __name__ == "__main__":
    main()
