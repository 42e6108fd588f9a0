"""A double negation: which words of a short review work together, for a small classifier trained here."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from reviews import NEGATIVE, NEGATORS, POSITIVE, train

import spex_mech as sm
import spex_mech.features
from spex_mech.core.estimates import bootstrap_mean

HERE = Path(__file__).parent
TEXT = "the film is never not good and the music was fine"
FILLED = "the story is {} {} {} this music"


def main() -> None:
    """Explain one review exactly, and count over all double negations of the vocabulary."""
    options = _options()
    torch.set_num_threads(1)
    model, tokenizer, accuracy = train(options.model)
    print(f"accuracy on 1,000 new reviews: {accuracy:.3f}")
    game = game_of(model, tokenizer, TEXT)
    spectrum = sm.exact_spectrum(game(sm.designs.exhaustive(game.players.n).masks))
    shown = sm.features.view(game, spectrum, index="FBII", order=3, top=5)
    print(shown.terminal(80))
    if options.write:
        (HERE / "double_negation.html").unlink(missing_ok=True)
        shown.save(HERE / "double_negation.html")
    result = {"accuracy": accuracy, "top": shown.joint, **_counted(model, tokenizer)}
    print(json.dumps(result, indent=1))
    if options.write:
        (HERE / "results").mkdir(exist_ok=True)
        (HERE / "results" / "double_negation.json").write_text(json.dumps(result, indent=1) + "\n")


def game_of(model: object, tokenizer: object, text: str) -> sm.features.FeatureGame:
    """Words as players, the mask token in the place of missing ones; log-odds of "positive"."""
    return sm.features.text(
        model,
        text,
        tokenizer=tokenizer,
        level="word",
        removal="mask",
        value="logodds",
        target="positive",
    )


def _counted(model: object, tokenizer: object) -> dict:
    """Over all pairs of negators and judgements: is their triple the strongest of all triples?"""
    first, signs = [], []
    for judgement in POSITIVE + NEGATIVE:
        for a in NEGATORS:
            for b in NEGATORS:
                text = FILLED.format(a, b, judgement)
                game = game_of(model, tokenizer, text)
                spectrum = sm.exact_spectrum(game(sm.designs.exhaustive(game.players.n).masks))
                found = sm.interactions(spectrum, "FBII", 3).values
                triples = sorted(
                    ((abs(v), s, v) for s, v in found.items() if len(s) == 3), reverse=True
                )
                first.append(triples[0][1] == (3, 4, 5))
                own = found.get((3, 4, 5), 0.0)
                signs.append(np.sign(own) == (1 if judgement in POSITIVE else -1))
    return {
        "texts": len(first),
        "triple is the strongest": str(bootstrap_mean(np.array(first, float), seed=0)),
        "chance": 1 / 56,
        "sign of the triple is the judgement's": str(
            bootstrap_mean(np.array(signs, float), seed=0)
        ),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("runs/feature_attribution/reviews"))
    parser.add_argument("--write", action="store_true", help="write results/ and the page")
    return parser.parse_args()


if __name__ == "__main__":
    main()
