"""The trolley experiment on two-hop questions: does the answer change when one member goes, or with all?"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from experiments import remove_members
from questions import TwoHop, two_hop
from two_hop import game_of

import spex_mech as sm

HERE = Path(__file__).parent


def main() -> None:
    """Replace the members of a synergy, and of a redundancy, one at a time and together."""
    options = _options()
    torch.set_num_threads(1)
    model = sm.load_model("embedded")
    asked = two_hop(options.split, options.questions)
    result = {"split": options.split, "questions": len(asked)}
    chains = [(game_of(model, q, "replace"), q.hops) for q in asked]
    result["the chain: thing's sentence, container's sentence"] = _outcomes(chains)
    others = [
        (game, _others(q, number))
        for number, ((game, _), q) in enumerate(zip(chains, asked, strict=True))
    ]
    result["two other sentences"] = _outcomes(others)
    doubled = [(_game_twice(model, q), _twice(q)) for q in asked]
    result["the container's sentence, said twice"] = _outcomes(doubled)
    print(json.dumps(result, indent=1))
    if options.write:
        (HERE / "results").mkdir(exist_ok=True)
        (HERE / "results" / "followup.json").write_text(json.dumps(result, indent=1) + "\n")


def _outcomes(cases: list[tuple[sm.features.FeatureGame, tuple[int, ...]]]) -> dict:
    """What happens on the questions that are answered right while nothing is replaced."""
    whole = [game(np.ones((1, game.players.n), dtype=bool))[0] > 0 for game, _ in cases]
    kept = [case for case, fine in zip(cases, whole, strict=True) if fine]
    found = remove_members(
        [game for game, _ in kept], [members for _, members in kept], draws=3, seed=0
    )
    rows = {
        "+".join(f"member {i}" for i in o.removed) or "none": {
            "answer changed": str(o.changed),
            "margin": str(o.value),
        }
        for o in found
    }
    return {"questions answered right": len(kept), "replaced": rows}


def _others(question: TwoHop, seed: int) -> tuple[int, int]:
    """Two sentences that the question does not need."""
    left = [i for i in range(8) if i not in question.needed]
    a, b = np.random.default_rng(seed).choice(left, 2, replace=False)
    return int(a), int(b)


def _said_again(question: TwoHop) -> tuple[TwoHop, tuple[int, int]]:
    """The question with the container's sentence once more, after the fourth sentence or the eighth."""
    spans = sm.features.split_text(question.passage, "sentence")
    sentences = [question.passage[s.start : s.stop] for s in spans]
    at = 8 if question.hops[1] < 4 else 0
    sentences.insert(at, sentences[question.hops[1]])
    choices = list(question.replacements)
    choices.insert(at, question.replacements[question.hops[1]][::-1])
    first = question.hops[1] + (at == 0)
    made = replace(question, passage=" ".join(sentences), replacements=tuple(choices))
    return made, (first, at)


def _game_twice(model: sm.Model, question: TwoHop) -> sm.features.FeatureGame:
    return game_of(model, _said_again(question)[0], "replace")


def _twice(question: TwoHop) -> tuple[int, int]:
    return _said_again(question)[1]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", default="test")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--write", action="store_true", help="write results/")
    return parser.parse_args()


if __name__ == "__main__":
    main()
