"""How often the two sentences that a two-hop question needs are its strongest synergy."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from questions import TwoHop, two_hop

import spex_mech as sm
from spex_mech.core.estimates import bootstrap_mean
from spex_mech.features.game import choose

HERE = Path(__file__).parent
PAIRS = 28  # of eight sentences
BUDGETS = (64, 128)


def main() -> None:
    """Score all 256 masks of every question, or read what was scored, and write the rates."""
    options = _options()
    torch.set_num_threads(1)
    asked = two_hop(options.split, options.questions)
    file = Path(options.cache) / f"two_hop_{options.split}_{options.removal}.npz"
    outputs = _outputs(asked, options.removal, file)
    right = [o[-1, 0] > o[-1, 1:].max() for o in outputs]
    rows = {
        f"{value}, {index}": _rates(asked, outputs, right, value, index)
        for value in ("margin", "probability")
        for index in ("FBII", "SII")
    }
    result = {
        "split": options.split,
        "removal": options.removal,
        "questions": len(asked),
        "right": int(sum(right)),
        "chance": 1 / PAIRS,
        "rates": rows,
        "decoded": _decoded(asked, outputs, right) if options.decode else None,
    }
    print(json.dumps(result, indent=1))
    if options.write:
        name = f"two_hop_{options.split}_{options.removal}.json"
        (HERE / "results").mkdir(exist_ok=True)
        (HERE / "results" / name).write_text(json.dumps(result, indent=1) + "\n")


def game_of(model: sm.Model, question: TwoHop, removal: str) -> sm.features.FeatureGame:
    """Sentences as players; the value is the margin of the right answer."""
    replacements = question.replacements if removal == "replace" else None
    return sm.features.text(
        model,
        question.passage,
        template=question.template,
        target=question.answers,
        removal=sm.features.Removal(removal, replacements=replacements),
    )


def _outputs(asked: list[TwoHop], removal: str, file: Path) -> list[np.ndarray]:
    """Log-probabilities (256, 4) of the answers under every mask, kept in a file."""
    done = list(np.load(file)["outputs"]) if file.exists() else []
    if len(done) >= len(asked):
        return done[: len(asked)]
    model, masks = sm.load_model("embedded"), sm.designs.exhaustive(8).masks
    began = time.process_time()
    for number, question in enumerate(asked[len(done) :], start=1):
        game = game_of(model, question, removal)
        choices = choose(masks, game.source.counts, game.seed)
        done.append(game.source.outputs(game.source.inputs(choices)))
        if number % 20 == 0 or len(done) == len(asked):
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(file, outputs=np.array(done))
            print(f"{len(done)} questions, {time.process_time() - began:.0f} s", flush=True)
    return done


def _values(outputs: np.ndarray, value: str) -> np.ndarray:
    if value == "margin":
        return outputs[:, 0] - outputs[:, 1:].max(axis=1)
    p = np.exp(outputs)
    return p[:, 0] / p.sum(axis=1)


def _rates(
    asked: list[TwoHop], outputs: list[np.ndarray], right: list[bool], value: str, index: str
) -> dict:
    """Shares of the questions answered right in which the needed pair is first, and among three."""
    ranks = []
    for question, found, fine in zip(asked, outputs, right, strict=True):
        if fine:
            spectrum = sm.exact_spectrum(_values(found, value))
            ranks.append(_rank(spectrum, question, index))
    first, three = (np.array([r < k for r in ranks], dtype=float) for k in (1, 3))
    return {
        "first": str(bootstrap_mean(first, seed=0)),
        "among three": str(bootstrap_mean(three, seed=0)),
    }


def _rank(spectrum: sm.Spectrum, question: TwoHop, index: str = "FBII") -> int:
    """How many pairs have a larger (more positive) interaction than the needed one."""
    found = sm.interactions(spectrum, index, 2).values
    own = found.get(question.needed, 0.0)
    return sum(v > own for s, v in found.items() if len(s) == 2)


def _decoded(asked: list[TwoHop], outputs: list[np.ndarray], right: list[bool]) -> dict:
    """The same from a part of the masks, decoded by ``auto``: rate, and the R² on the others."""
    rows = {}
    table = {mask.tobytes(): i for i, mask in enumerate(sm.designs.exhaustive(8).masks)}
    for budget in BUDGETS:
        first, r2 = [], []
        for k, (question, found, fine) in enumerate(zip(asked, outputs, right, strict=True)):
            if not fine or len(first) == 60:
                continue
            everything = _values(found, "probability")
            order = np.random.default_rng(k).permutation(256)
            masks = sm.designs.exhaustive(8).masks[order]
            design = sm.MaskDesign(masks=masks[:budget], seed=0)
            values = everything[[table[mask.tobytes()] for mask in masks]]
            spectrum = sm.decode(design, values[:budget], seed=0)
            first.append(_rank(spectrum, question) == 0)
            r2.append(sm.faithfulness(spectrum, masks[budget:], values[budget:]))
        rows[budget] = {
            "questions": len(first),
            "first": str(bootstrap_mean(np.array(first, dtype=float), seed=0)),
            "median R² on the other masks": float(np.median(r2)),
        }
    return rows


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", default="test")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--removal", default="replace", choices=["delete", "replace"])
    parser.add_argument("--cache", default="runs/feature_attribution", help="folder of the outputs")
    parser.add_argument("--decode", action="store_true", help="also decode 64 and 128 of the masks")
    parser.add_argument("--write", action="store_true", help="write results/")
    return parser.parse_args()


if __name__ == "__main__":
    main()
