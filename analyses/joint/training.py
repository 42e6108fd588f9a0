"""Which heads and words matter because of which training examples? See the README beside this file.

python analyses/joint/training.py
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from functools import partial
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import torch
from scipy.stats import spearmanr

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from cross_effects import differences, interval
from facts import PERSON, SETS, STEPS, WORDS, FactsGame, Group, groups_of, training

import spex_mech as sm
from spex_mech.report.plots import cross_map

KNOWN = 8  # heads without which the model that was trained on everything answers worst
TRAINED = 0.5  # how often a group is trained on
RELATIONS = ("facts asked about", "other facts, same people", "facts of other people")


def main() -> None:
    """Measure, and write results and figures."""
    args = arguments()
    torch.set_num_threads(1)
    groups = groups_of(args.seed)
    start = sm.load_model("embedded")
    trained = sm.training_data.TrainedModels(
        start,
        sm.PlayerSet.from_names(group.name for group in groups),
        training(groups, seed=args.seed, steps=args.steps),
        name=f"facts of seed {args.seed}, {args.steps} steps",
        folder=args.folder / "models",
    )
    masks = training_masks(len(groups), args)
    began = time.process_time()
    for mask in masks:
        trained(mask)
    seconds = time.process_time() - began
    print(f"{len(masks)} models in {seconds:.0f} s", flush=True)
    heads = sm.select_players(start, "heads")
    found = [asked(number, groups, trained, heads, masks, args) for number in range(args.asked)]
    result, figures = summary(found, groups, heads)
    args.results.mkdir(parents=True, exist_ok=True)
    (args.results / "training.json").write_text(json.dumps(result, indent=1) + "\n")
    for name, figure in figures.items():
        figure.savefig(args.results / f"training_{name}.png", dpi=130)
    print(json.dumps({k: v for k, v in result.items() if not k.startswith("table")}, indent=1))


def training_masks(n: int, args: argparse.Namespace) -> np.ndarray:
    """Different subsets of the groups: those to decode from, then those held out.

    All groups and none, where they are drawn, are among the first.
    """
    drawn = sm.designs.uniform(n, args.models + args.held_out, seed=args.seed).masks
    ends = drawn.all(axis=1) | ~drawn.any(axis=1)
    return np.concatenate([drawn[ends], drawn[~ends]])


def asked(
    number: int,
    groups: list[Group],
    trained: sm.training_data.TrainedModels,
    heads: sm.PlayerSet,
    masks: np.ndarray,
    args: argparse.Namespace,
) -> dict:
    """Everything about the questions of one group: effects, R² and what single heads are worth."""
    game = sm.joint(trained, partial(FactsGame, group=groups[number], players=heads))
    n, others = len(groups), game.players.n - len(groups)
    parts = []
    for part, seed in ((masks[: args.models], number), (masks[args.models :], 1000 + number)):
        drawn = sm.designs.biased(
            others, len(part) * args.each, keep_rate=args.keep_rate, seed=seed
        )
        parts.append(sm.designs.crossed(sm.MaskDesign(part, 0), drawn))
    store = args.folder / f"asked {number}"
    values, fresh = (sm.evaluate(game, design, store=store).values for design in parts)
    spectrum = sm.decode(parts[0], values, seed=args.seed)
    rates = np.concatenate([np.full(n, TRAINED), np.full(others, args.keep_rate)])
    at = n + len(WORDS)
    pairs = differences(spectrum, rates, 2)
    worth = [differences(spectrum, rates, 1, {number: there})[at:] for there in (False, True)]
    whole = np.ones((1 + heads.n, game.players.n), dtype=bool)
    whole[1 + np.arange(heads.n), at + np.arange(heads.n)] = False
    single = game(whole)
    without = np.ones((1, game.players.n), dtype=bool)
    without[0, number] = False
    found = {
        "whole": float(single[0]),
        "not trained": float(game(without)[0]),
        "lost": single[0] - single[1:],
        "group word": pairs[:n, n:at],
        "group head": pairs[:n, at:],
        "word head": pairs[n:at, at:],
        "triples": differences(spectrum, rates, 3)[:n, n:at, at:],
        "worth": np.array(worth),
        "expected R2": float(spectrum.info["r2_cv"]),
        "R2": sm.faithfulness(spectrum, parts[1].masks, fresh),
        "missed": float(spectrum.info.get("readout_loss", 0.0)),
        "masks": len(parts[0]),
    }
    print(number, game, {k: round(found[k], 2) for k in ("whole", "expected R2", "R2")}, flush=True)
    return found


def summary(found: list[dict], groups: list[Group], heads: sm.PlayerSet) -> tuple[dict, dict]:
    """Shares against chance, tables and figures."""
    lost = np.mean([one["lost"] for one in found], axis=0)
    known = np.argsort(-lost, kind="stable")[:KNOWN]
    rows = [meeting(number, one, known) for number, one in enumerate(found)]
    n, words, m = len(groups), len(WORDS), heads.n
    of = {"group": 1 / n, "person": 1 / words, "heads": KNOWN / m}
    chance = {name: np.prod([of[x] for x in name.split(": ")[1].split(" × ")]) for name in rows[0]}
    by_relation = {
        kind: np.mean([related(number, one[kind]) for number, one in enumerate(found)], axis=0)
        for kind in ("group word", "group head")
    }
    worth = np.mean([one["worth"] for one in found], axis=0)
    strongest = np.argsort(-(worth[1] - worth[0]), kind="stable")[:KNOWN]
    result = {
        "masks of each game": found[0]["masks"],
        "margin, trained on all": interval([one["whole"] for one in found]),
        "margin, trained on all but the facts asked about": interval(
            [one["not trained"] for one in found]
        ),
        "expected R2": interval([one["expected R2"] for one in found]),
        "R2 on masks of models held out": interval([one["R2"] for one in found]),
        "part of the predictions that the terms miss": interval([one["missed"] for one in found]),
        "shares": {
            name: {"found": interval([row[name] for row in rows]), "chance": round(chance[name], 4)}
            for name in rows[0]
        },
        "rank correlation of a head's effects with what is lost without it": interval(
            [
                float(spearmanr(np.abs(one["group head"][number]), one["lost"]).statistic)
                for number, one in enumerate(found)
            ]
        ),
        "of each question": {
            name: [round(row[name], 3) for row in rows]
            for name in ("group word: group × person", "group head: group × heads")
        }
        | {"R2": [round(one["R2"], 3) for one in found]},
        "known": [heads.names[i] for i in known],
        "sum of the heads' worths, not trained and trained": [
            interval([float(one["worth"][there].sum()) for one in found]) for there in (0, 1)
        ],
        "worth of a head, not trained and trained": {
            heads.names[i]: [
                interval([one["worth"][there][i] for one in found]) for there in (0, 1)
            ]
            for i in strongest
        },
        "groups": [group.name for group in groups],
        "table of relations × words": np.round(by_relation["group word"], 3).tolist(),
        "table of relations × heads": np.round(by_relation["group head"], 3).tolist(),
        "table of questions × heads": [
            np.round(one["group head"][number], 3).tolist() for number, one in enumerate(found)
        ],
        "table of questions × groups, person": [
            np.round(one["group word"][:, PERSON], 3).tolist() for one in found
        ],
    }
    return result, drawings(found, by_relation["group head"], groups, known, heads)


def drawings(
    found: list[dict],
    by_relation: np.ndarray,
    groups: list[Group],
    known: np.ndarray,
    heads: sm.PlayerSet,
) -> dict:
    """Two heat maps: heads, and the word that names the person."""
    names = [f"{group.kind}s, set {i % SETS + 1}" for i, group in enumerate(groups)]
    marked = [f"{name} *" if i in known else name for i, name in enumerate(heads.names)]
    own = np.array([one["group head"][number] for number, one in enumerate(found)])
    rows = [f"trained and asked: {name}" for name in names[: len(found)]]
    label = "change of worth by training (margin)"
    return {
        "heads": cross_map(
            np.vstack([own, by_relation[1:]]),
            [*rows, *(f"trained: {name}" for name in RELATIONS[1:])],
            marked,
            label=label,
            title="Which heads matter because of which training examples",
        ),
        "names": cross_map(
            np.array([one["group word"][:, PERSON] for one in found]),
            [f"asked: {name}" for name in names[: len(found)]],
            names,
            label=label,
            title="The person's name in the question matters because of\n"
            "training on (columns) the facts that are asked about (rows)",
        ),
    }


def meeting(number: int, one: dict, known: np.ndarray) -> dict[str, float]:
    """Shares of the squared effects that lie where they should: at the group asked about, and so on."""
    energy = {kind: one[kind] ** 2 for kind in ("group word", "group head", "word head", "triples")}
    total = {kind: max(float(table.sum()), 1e-12) for kind, table in energy.items()}
    a, b, c, d = (energy[kind] for kind in energy)
    parts = {
        "group word: group": a[number],
        "group word: person": a[:, PERSON],
        "group word: group × person": a[number, PERSON],
        "group head: group": b[number],
        "group head: heads": b[:, known],
        "group head: group × heads": b[number][known],
        "word head: person": c[PERSON],
        "word head: heads": c[:, known],
        "word head: person × heads": c[PERSON][known],
        "triples: group × person": d[number, PERSON],
        "triples: heads": d[:, :, known],
        "triples: group × person × heads": d[number, PERSON][known],
    }
    return {name: float(np.sum(x)) / total[name.split(":")[0]] for name, x in parts.items()}


def related(number: int, table: np.ndarray) -> np.ndarray:
    """Means of a table's rows, one for each group, by how a group is related to the one asked about."""
    people = np.arange(len(table)) % SETS == number % SETS
    own = np.arange(len(table)) == number
    return np.array([table[rows].mean(axis=0) for rows in (own, people & ~own, ~people)])


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=int, default=64, help="trained models to decode from")
    parser.add_argument("--held-out", type=int, default=16, help="trained models to measure R² on")
    parser.add_argument(
        "--each", type=int, default=24, help="masks of words and heads for each model"
    )
    parser.add_argument("--asked", type=int, default=8, help="groups that are asked about")
    parser.add_argument("--keep-rate", type=float, default=0.85, help="of words and heads")
    parser.add_argument("--steps", type=int, default=STEPS, help="of each training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/joint_training"), help="models, 300 MB"
    )
    parser.add_argument("--results", type=Path, default=HERE / "results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
