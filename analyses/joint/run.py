"""Which heads matter because of which sentences or words? See the README beside this file.

python analyses/joint/run.py                  # two-hop questions: sentences in their roles × heads
python analyses/joint/run.py --task ioi       # five prompts of SmolLM2: words × heads
python analyses/joint/run.py --paper
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
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
IOI = "Then, {first} and {second} went to the {place}. {second} gave a {thing} to"
FILLED = (
    ("Mary", "John", "store", "drink"),
    ("Laura", "Peter", "hospital", "ring"),
    ("Anna", "Paul", "office", "book"),
    ("Emma", "James", "school", "letter"),
    ("Sarah", "David", "garden", "ball"),
)
SLOTS = ("first", "second", "place", "thing")
# SmolLM2's heads with the largest Banzhaf values on IOI in analyses/real_circuits/attention-ioi.md, strongest
# first; there all heads were players, and removed ones had their output on a partner.
OF_CIRCUIT = ("L23H3", "L20H0", "L17H4", "L29H1", "L29H0", "L19H2", "L24H7", "L25H2", "L24H4")


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
    """Some prompts that differ in names, place and thing: their words × the heads of some layers."""
    model = sm.load_model(args.model)
    players = sm.select_players(model, args.players)
    heads = sm.TaskGame(model, sm.load_task("circuits/ioi").first(2), players)
    words = IOI.replace("{", "").replace("}", "").split()
    roles = [f"{w} again" if w in words[:i] else w for i, w in enumerate(words)]
    parts = (roles, players.names, OF_CIRCUIT if args.model == "smollm2" else ())
    tables, rows = [], []
    for seed, filled in enumerate(FILLED[: args.prompts]):
        answers = [f" {name}" for name in filled[:2]]
        prompt = IOI.format(**dict(zip(SLOTS, filled, strict=True)))
        text = sm.features.text(model, prompt, level="word", target=answers)
        game = sm.joint(text, heads)
        n, rate = game.players.n, args.keep_rate
        design = sm.designs.biased(n, args.masks, keep_rate=rate, seed=seed)
        fresh = sm.designs.biased(n, args.held_out, keep_rate=rate, seed=1000 + seed)
        spectrum = sm.decode(design, sm.evaluate(game, design).values, seed=seed)
        r2 = sm.faithfulness(spectrum, fresh.masks, sm.evaluate(game, fresh).values)
        tables.append(effects(spectrum, game.sides, rate))
        row = {"whole": float(game(np.ones((1, n), dtype=bool))[0]), "R2": r2}
        rows.append(row | shares(tables[-1], *parts))
        print(prompt, rows[-1], flush=True)
    mean = np.mean(tables, axis=0)
    energy = np.mean([(table**2).sum(axis=1) / (table**2).sum() for table in tables], axis=0)
    strongest = [divmod(int(k), players.n) for k in np.argsort(-np.abs(mean).reshape(-1))[:12]]
    result = {
        "prompts": [IOI.format(**dict(zip(SLOTS, f, strict=True))) for f in FILLED[: args.prompts]],
        "players": [len(roles), players.n],
        "masks of each prompt": args.masks,
        "of each prompt": {name: [round(row[name], 3) for row in rows] for name in rows[0]},
        "means": {name: interval([row[name] for row in rows]) for name in rows[0]},
        "chance": {k: round(c, 4) for k, c in shares(np.ones_like(mean), *parts).items()},
        "share of each word": {w: round(float(e), 3) for w, e in zip(roles, energy, strict=True)},
        "strongest": [
            [roles[a], players.names[b], round(float(mean[a, b]), 3)] for a, b in strongest
        ],
        "table": np.round(mean, 4).tolist(),
    }
    title = "Which heads matter because of which word: indirect objects"
    label = "change of a head's worth\nwhen the word is there (margin)"
    return result, cross_map(mean, roles, players.names, label=label, title=title)


def shares(
    table: np.ndarray, roles: Sequence[str], heads: Sequence[str], circuit: Sequence[str]
) -> dict[str, float]:
    """Shares of the squared effects that the mentions of names have, heads of a known circuit, and both.

    Args:
        table: effects (words, heads); of effects that are all alike the shares are those of chance.
        roles: of the words.
        heads: names of the heads.
        circuit: names of those of the circuit; empty for a model whose circuit is not known.
    """
    energy = table**2 / (table**2).sum()
    names = np.array(["first" in role or "second" in role for role in roles])
    found = {"names": float(energy[names].sum())}
    if circuit:
        inside = np.isin(heads, circuit)
        found["heads of the circuit"] = float(energy[:, inside].sum())
        found["both"] = float(energy[names][:, inside].sum())
    return found


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--task", default="two_hop", choices=["two_hop", "ioi"])
    parser.add_argument("--model", help="by default embedded for two_hop, smollm2 for ioi")
    parser.add_argument(
        "--players", help="parts of the model, by default all heads, or heads:15-29"
    )
    parser.add_argument(
        "--masks", type=int, help="by default 2000 for each split, or 1200 for each prompt"
    )
    parser.add_argument("--questions", type=int, default=40, help="two-hop questions of a split")
    parser.add_argument("--splits", type=int, default=4, help="disjoint sets of questions")
    parser.add_argument("--prompts", type=int, default=len(FILLED), help="of ioi")
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
    args.masks = args.masks or (1200 if ioi else 2000)
    args.keep_rate = args.keep_rate or (0.9 if ioi else 0.8)
    return args


if __name__ == "__main__":
    main()
