"""What heads attend to at the last position, from which the answer is read; see the README beside this file.

    python analyses/head_pruning_real/attention.py

Attention is that of the full model. The parts of a prompt are its first token, the words of each option where
they stand in the prompt (IOI), or the subject's noun and the last noun, which distracts (BLiMP).
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import torch

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path += [str(HERE), str(HERE.parent)]

from cards import load, one_token_of
from table_rows import mean_text

import spex_mech as sm
from spex_mech.tasks.task import Example

AFTER_SUBJECT = {
    "distractor_agreement_relative_clause": (" that", " who"),
    "distractor_agreement_relational_noun": (" of", " about"),
}


def main() -> None:
    """Write the mean attention of every head to every part of the prompts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--players", default="heads:14-16,27-29")
    parser.add_argument("--tasks", nargs="+", default=["ioi", *AFTER_SUBJECT])
    parser.add_argument("--questions", type=int, default=100, help="the first ones of each set")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "blimp")
    parser.add_argument("--results", type=Path, default=HERE / "attention.csv")
    parser.add_argument("--out", type=Path, default=Path("runs/head_pruning_real"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = sm.load_model(args.model)
    rows = []
    for name in args.tasks:
        found = measured(model, name, args)
        for head, parts in found.items():
            row = {"task": name, "head": head, "questions": len(next(iter(parts.values())))}
            rows.append(row | {part: mean_text(values) for part, values in parts.items()})
    with args.results.open("w", newline="", encoding="utf-8") as file:
        columns = list(dict.fromkeys(key for row in rows for key in row))
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def measured(
    model: sm.Model, name: str, args: argparse.Namespace
) -> dict[str, dict[str, list[float]]]:
    """For every head and part of a prompt, the attention that the last position pays in each question."""
    task = load(name, data=args.data, folder=args.out, one_token=one_token_of(model))
    task = task.first(args.questions)
    game = sm.TaskGame(model, task, sm.select_players(model, args.players))
    examples = {example.id: example for example in task.examples}
    found: dict[str, dict[str, list[float]]] = {}
    patterns = sm.attention_patterns(game, questions=len(game.question_ids))
    for question, pattern in zip(game.question_ids, patterns, strict=True):
        places = parts_of(name, pattern.tokens, examples[question])
        for head, weights in zip(pattern.heads, pattern.weights[:, -1], strict=True):
            for part, positions in places.items():
                values = found.setdefault(head, {}).setdefault(part, [])
                values.append(float(weights[list(positions)].sum()))
    return found


def parts_of(name: str, tokens: Sequence[str], example: Example) -> Mapping[str, Sequence[int]]:
    """Positions of the parts of a prompt; none of a sentence whose subject is not found."""
    first = {"first token": [0]}
    if name == "ioi":
        wrong = example.options[1 - example.answer]
        return first | {
            "indirect object": _all(tokens, example.options[example.answer]),
            "subject": _all(tokens, wrong)[:1],
            "subject again": _all(tokens, wrong)[1:],
        }
    starts = [i for i, token in enumerate(tokens) if i == 0 or token.startswith(" ")]
    after = [i for i in starts if tokens[i] in AFTER_SUBJECT[name] and tokens[i - 1] != " lot"]
    if not after or starts.index(after[0]) < 2:  # the first token takes attention for itself
        return {}
    subject = starts[starts.index(after[0]) - 1]
    return first | {
        "subject's noun": range(subject, after[0]),
        "last noun": range(starts[-1], len(tokens)),
    }


def _all(tokens: Sequence[str], word: str) -> list[int]:
    return [i for i, token in enumerate(tokens) if token == word]


if __name__ == "__main__":
    main()
