"""The command line of the analyses of reworded statements: measure what is not in the results yet."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from paper import parse
from reworded import Item, measure
from reworded_table import write
from table_rows import append, read

import spex_mech as sm

PAPER = "gpt-4o-mini"
BY_RULE = "rule"


def run(items: Sequence[Item], synonyms: Mapping[str, str], folder: Path, *, masks: int) -> None:
    """Measure the statements, and write the table and the figure into the folder of the results."""
    args = _arguments(folder, masks)
    torch.set_num_threads(1)
    model: Any = None
    for item in items[:: args.every]:
        if any(r["text"] == item.text for r in read(args.results)):
            continue
        model = model or _model(args)
        row = measure(model, item, synonyms, masks=args.masks)
        append(args.results, row)
        print(*row.values(), flush=True)
    print(write(read(args.results), args.results.parent))


def longer_is_true(texts: Sequence[str]) -> list[float]:
    """A stand-in for a model that needs no download: "True" for more than 40 characters, and saturating."""
    return [float(np.tanh(len(text) / 20 - 2)) for text in texts]


def _model(args: argparse.Namespace) -> Any:
    if args.model == BY_RULE:
        return longer_is_true
    if args.paper:
        return sm.features.Endpoint(args.model, replies=args.results.with_suffix(".replies.jsonl"))
    return sm.load_model(args.model)


def _arguments(folder: Path, masks: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="smollm2", help=f"or {BY_RULE}, which counts characters")
    parser.add_argument("--masks", type=int, default=masks)
    parser.add_argument("--every", type=int, default=1, help="measure every so many statements")
    parser.add_argument("--results", type=Path, default=folder / "results.csv")
    return parse(
        parser,
        f"the paper's model, {PAPER}, behind OpenAI's address (its key in OPENAI_API_KEY), 500 masks",
        model=PAPER,
        masks=500,
        results=folder / "paper" / "results.csv",
    )
