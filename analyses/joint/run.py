"""Which heads matter because of which sentences or words? See the README beside this file.

python analyses/joint/run.py                  # two-hop questions: sentences in their roles × heads
python analyses/joint/run.py --task ioi       # one prompt of SmolLM2: words × heads
python analyses/joint/run.py --paper
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import torch
from scipy.stats import spearmanr

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path += [str(HERE), str(HERE.parent), str(ROOT / "analyses" / "feature_attribution")]

from cross_effects import differences, interval
from paper import LLAMA, parse
from questions import two_hop
from roles import ROLES, RolesGame

import spex_mech as sm
from spex_mech.report.plots import cross_map

EVIDENCE = ROOT / "analyses" / "embedded_model" / "evidence.json"
KNOWN = 8  # heads without which the model answers worst
IOI = "Then, Mary and John went to the store. John gave a drink to"
ANSWERS = [" Mary", " John"]


def main() -> None:
    """Measure, and write results and figures."""
    args = arguments()
    torch.set_num_threads(1)
    if args.task == "ioi":
        result, figure = words_and_heads(args)
    else:
        result, figure = sentences_and_heads(args)
    args.results.mkdir(parents=True, exist_ok=True)
    (args.results / f"{args.task}.json").write_text(json.dumps(result, indent=1) + "\n")
    figure.savefig(args.results / f"{args.task}.png", dpi=130)
    print(json.dumps({k: v for k, v in result.items() if k != "table"}, indent=1))


def effects(spectrum: sm.Spectrum, sides: tuple, rate: float) -> np.ndarray:
    """By how much one player is worth more when the other is there, (a, b), others present with a rate."""
    first = sides[0].n
    return differences(spectrum, np.full(spectrum.n, rate), 2)[:first, first:]


def sentences_and_heads(args: argparse.Namespace) -> tuple[dict, object]:
    """Do the sentences and the heads that a question is known to need meet?"""
    model = sm.load_model(args.model)
    players = sm.select_players(model, args.players)
    heads = sm.TaskGame(model, sm.load_task("embedded/boxes").first(2), players)
    lost = np.array(
        json.loads(EVIDENCE.read_text())["subjects"]["boxes"]["leave_one_out"]["accuracy"]
    )
    known = np.argsort(lost, kind="stable")[:KNOWN]
    asked = two_hop("test", args.splits * args.questions)
    tables, rows = [], []
    for split in range(args.splits):
        some = asked[split * args.questions : (split + 1) * args.questions]
        game = RolesGame(model, some, heads)
        design = sm.designs.biased(game.players.n, args.masks, keep_rate=args.keep_rate, seed=split)
        run = sm.evaluate(game, design, questions="auto")
        spectrum = sm.decode(design, run, seed=split)
        table = effects(spectrum, game.sides, args.keep_rate)
        tables.append(table)
        rows.append(meeting(table, known, lost) | {"R2": spectrum.info["r2_cv"], "rows": run.rows})
        print(split, rows[-1], flush=True)
    names = [name for name in rows[0] if name not in ("R2", "rows")]
    chance = {
        "needed sentences": 2 / len(ROLES),
        "known heads": KNOWN / len(lost),
        "both": 2 / len(ROLES) * KNOWN / len(lost),
        "pairs among the ten": 2 / len(ROLES) * KNOWN / len(lost),
        "rank correlation": 0.0,
    }
    mean = np.mean(tables, axis=0)
    result = {
        "questions": args.splits * args.questions,
        "masks of each split": args.masks,
        "rows": [row["rows"] for row in rows],
        "R2": [round(row["R2"], 3) for row in rows],
        "shares": {name: interval([row[name] for row in rows]) for name in names},
        "of each split": {name: [round(row[name], 3) for row in rows] for name in names},
        "chance": {name: round(chance[name], 4) for name in names},
        "known": [players.names[i] for i in known],
        "table": np.round(mean, 4).tolist(),
    }
    title = "Which heads matter because of which sentence: two-hop questions"
    marked = [f"{n} *" if i in known else n for i, n in enumerate(players.names)]
    label = "change of a head's worth\nwhen the sentence is there (margin)"
    return result, cross_map(mean, ROLES, marked, label=label, title=title)


def meeting(table: np.ndarray, known: np.ndarray, lost: np.ndarray) -> dict[str, float]:
    """How much of the squared cross effects lies where they should be.

    Args:
        table: effects (8, heads); the first two rows are the needed sentences.
        known: the heads without which the model answers worst, by plain ablation of whole prompts.
        lost: accuracy without each head.
    """
    energy = table**2
    total = energy.sum()
    strongest = np.argsort(-np.abs(table).reshape(-1), kind="stable")[:10]
    sentence, head = np.divmod(strongest, table.shape[1])
    return {
        "needed sentences": float(energy[:2].sum() / total),
        "known heads": float(energy[:, known].sum() / total),
        "both": float(energy[:2][:, known].sum() / total),
        "pairs among the ten": float(np.mean((sentence < 2) & np.isin(head, known))),
        "rank correlation": float(spearmanr(energy[:2].sum(axis=0), -lost).statistic),
    }


def words_and_heads(args: argparse.Namespace) -> tuple[dict, object]:
    """One prompt: its words × the heads of some layers."""
    model = sm.load_model(args.model)
    players = sm.select_players(model, args.players)
    heads = sm.TaskGame(model, sm.load_task("circuits/ioi").first(2), players)
    text = sm.features.text(model, IOI, level="word", target=ANSWERS)
    game = sm.joint(text, heads)
    design = sm.designs.biased(game.players.n, args.masks, keep_rate=args.keep_rate, seed=0)
    values = sm.evaluate(game, design).values
    fresh = sm.designs.biased(game.players.n, args.held_out, keep_rate=args.keep_rate, seed=1000)
    spectrum = sm.decode(design, values, seed=0)
    table = effects(spectrum, game.sides, args.keep_rate)
    energy = (table**2).sum(axis=1)
    words = text.players.names
    result = {
        "prompt": IOI,
        "whole": round(float(game(np.ones((1, game.players.n), dtype=bool))[0]), 3),
        "players": [text.players.n, players.n],
        "masks": args.masks,
        "R2 on held-out masks": round(
            sm.faithfulness(spectrum, fresh.masks, sm.evaluate(game, fresh).values), 3
        ),
        "share of each word": {
            f"{i} {w.strip()}": round(float(e / energy.sum()), 3)
            for i, (w, e) in enumerate(zip(words, energy, strict=True))
        },
        "strongest": [
            [words[a], players.names[b], round(float(table[a, b]), 3)]
            for a, b in (
                divmod(int(k), players.n) for k in np.argsort(-np.abs(table).reshape(-1))[:12]
            )
        ],
        "table": np.round(table, 4).tolist(),
    }
    title = "Which heads matter because of which word: Mary or John"
    label = "change of a head's worth\nwhen the word is there (margin)"
    return result, cross_map(table, words, players.names, label=label, title=title)


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--task", default="two_hop", choices=["two_hop", "ioi"])
    parser.add_argument("--model", help="by default embedded for two_hop, smollm2 for ioi")
    parser.add_argument(
        "--players", help="parts of the model, by default all heads, or heads:15-29"
    )
    parser.add_argument("--masks", type=int, help="by default 2000 for each split, or 1500")
    parser.add_argument("--questions", type=int, default=40, help="two-hop questions of a split")
    parser.add_argument("--splits", type=int, default=4, help="disjoint sets of questions")
    parser.add_argument("--keep-rate", type=float, help="by default .8, or .9")
    parser.add_argument("--held-out", type=int, default=150)
    parser.add_argument("--results", type=Path, default=HERE / "results")
    args = parse(
        parser,
        "words × heads on a large model: Llama-3.1-8B-Instruct, all heads, 20,000 masks; needs the hub "
        "and a GPU",
        task="ioi",
        masks=20_000,
        model=LLAMA,
        players="heads",
        results=HERE / "paper",
    )
    ioi = args.task == "ioi"
    args.model = args.model or ("smollm2" if ioi else "embedded")
    args.players = args.players or ("heads:15-29" if ioi else "heads")
    args.masks = args.masks or (1500 if ioi else 2000)
    args.keep_rate = args.keep_rate or (0.9 if ioi else 0.8)
    return args


if __name__ == "__main__":
    main()
