"""Are the two documents that a question needs the strongest synergy? See the README beside this file.

    python analyses/rag/run.py
    python analyses/rag/run.py --level sentence --documents 4 8
    python analyses/rag/run.py --paper

What is in the results is not measured again.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from math import comb
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parent)]

from documents import Question, generate
from figures import write
from paper import LLAMA, parse
from table_rows import append, read

import spex_mech as sm

FOLLOWER = "follower"
MEASURED = ("masks", "R2", "rank", "interaction", "singles among two", "seconds")


def main() -> None:
    """Measure what is not in the results yet, and write the table and the figure."""
    args = arguments()
    torch.set_num_threads(1)
    model = None
    for documents in args.documents:
        for seed in range(args.questions):
            key = {"model": args.model, "level": args.level, "documents": str(documents)}
            key |= {"question": str(seed)}
            if any(all(r[k] == v for k, v in key.items()) for r in read(args.results)):
                continue
            if args.model != FOLLOWER:
                model = model or sm.load_model(args.model)
            row = measure(model, generate(documents, seed, fillers=args.level == "sentence"), args)
            append(args.results, key | row)
            print(*key.values(), *row.values(), flush=True)
    print(write(read(args.results), args.results.parent))


def follower(question: Question) -> Callable[[Sequence[str]], list[float]]:
    """A reader that follows the chain by rule: 1 where both facts are there, and noise that a text decides.

    The noise has a standard deviation of .3; it stands for what a model makes of the other documents.
    """
    facts = [question.documents[i].split(". ")[1].strip(" .\n") for i in question.needed]

    def read_texts(texts: Sequence[str]) -> list[float]:
        noise = [np.random.default_rng(zlib.crc32(text.encode())).normal(0, 0.3) for text in texts]
        return [all(f in t for f in facts) + x for t, x in zip(texts, noise, strict=True)]

    return read_texts


def measure(
    model: sm.Model | None, question: Question, args: argparse.Namespace
) -> dict[str, object]:
    """Rank of the needed pair among all pairs of documents, or of their sentences."""
    options = {"target": list(question.answers), "value": args.value}
    game = sm.features.text(
        follower(question) if model is None else model,
        list(question.documents) if args.level == "document" else "".join(question.documents),
        level=args.level,
        template=question.template,
        **({} if model is None else options),
    )
    n = game.players.n
    needed = needed_players(game, question)
    whole = float(game(np.ones((1, n), dtype=bool))[0])
    row = {"players": n, "pairs": comb(n, 2), "whole": round(whole, 3)}
    if whole <= 0 and not args.wrong:
        return row | dict.fromkeys(MEASURED, "")
    began = time.process_time()
    design = (
        sm.designs.exhaustive(n)
        if 2**n <= args.masks
        else sm.designs.biased(n, args.masks, keep_rate=args.keep_rate, seed=0)
    )
    values = sm.evaluate(game, design).values
    spent = time.process_time() - began
    spectrum = sm.decode(design, values, seed=0)
    pairs = {s: v for s, v in sm.interactions(spectrum, "FBII", 2).values.items() if len(s) == 2}
    own = pairs.get(needed, 0.0)
    singles = sm.interactions(spectrum, "Banzhaf", 1).values
    order = sorted(singles, key=lambda s: -singles[s])
    measured = (
        len(design),
        round(spectrum.info.get("r2_cv", 1.0), 3),
        sum(v > own for v in pairs.values()) if own > 0 else len(pairs),
        round(own, 4),
        sum((i,) in order[:2] for i in needed),
        round(spent, 1),
    )
    return row | dict(zip(MEASURED, measured, strict=True))


def needed_players(game: sm.features.FeatureGame, question: Question) -> tuple[int, int]:
    """The players that hold the needed facts: the documents, or in each its sentence with the fact."""
    if game.players.n == len(question.documents):
        a, b = sorted(question.needed)
        return a, b
    facts = [question.documents[i].split(". ")[1].strip(" .\n") for i in question.needed]
    places = []
    for fact in facts:
        texts = [game.subject.text[s.start : s.stop] for s in game.subject.spans]
        places.append(next(i for i, text in enumerate(texts) if fact in text))
    a, b = sorted(places)
    return a, b


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--model",
        default="smollm2",
        help="or follower, a rule that follows the chain by construction",
    )
    parser.add_argument("--level", default="document", choices=["document", "sentence"])
    parser.add_argument("--documents", type=int, nargs="+", default=[4, 8, 16, 32, 64])
    parser.add_argument("--questions", type=int, default=12)
    parser.add_argument("--masks", type=int, default=64)
    parser.add_argument("--wrong", action="store_true", help="also where the model is wrong")
    parser.add_argument("--keep-rate", type=float, default=0.6)
    parser.add_argument("--value", default="margin")
    parser.add_argument("--results", type=Path, default=HERE / "results.csv")
    return parse(
        parser,
        "a large model that answers such questions: Llama-3.1-8B-Instruct, 100 questions, 1,000 masks; "
        "needs the hub and a GPU",
        model=LLAMA,
        questions=100,
        masks=1000,
        results=HERE / "paper" / "results.csv",
    )


if __name__ == "__main__":
    main()
