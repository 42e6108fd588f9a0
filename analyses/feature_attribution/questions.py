"""The embedded model's two-hop questions, and the two sentences that each of them needs."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "analyses" / "embedded_model"))

import words

from spex_mech import features

REPLACEMENTS = 3


@dataclass(frozen=True)
class TwoHop:
    """A question of the subject boxes.

    Attributes:
        name: its id.
        passage: eight sentences.
        template: what stands around the passage.
        answers: the answer letters, the right one first.
        needed: positions of the thing's sentence and of its container's, in order of the text.
        hops: the same, thing first.
        replacements: sentences of the same form about other things, containers and rooms, for each one.
    """

    name: str
    passage: str
    template: str
    answers: tuple[str, ...]
    needed: tuple[int, ...]
    hops: tuple[int, int]
    replacements: tuple[tuple[str, ...], ...]


def two_hop(split: str, count: int) -> list[TwoHop]:
    """The first ``count`` questions of a split."""
    lines = (ROOT / "tasks" / "embedded" / "boxes.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["split"] == split]
    return [_question(row) for row in rows[:count]]


def _question(row: dict) -> TwoHop:
    passage = row["passage"]
    options = "".join(f"{x}. {c}\n" for x, c in zip("ABCD", row["choices"], strict=True))
    right = "ABCD"[row["answer"]]
    facts = []
    for span in features.split_text(passage, "sentence"):
        said = passage[span.start : span.stop].rstrip(".").split()
        facts.append((said[1], said[-1]))
    thing = row["question"].rstrip("?").split()[4]
    first = next(i for i, (what, _) in enumerate(facts) if what == thing)
    second = next(i for i, (what, _) in enumerate(facts) if what == facts[first][1])
    return TwoHop(
        row["id"],
        passage,
        "{text}\n" + f"{row['question']}\n{options}Answer:",
        (f" {right}", *(f" {x}" for x in "ABCD" if x != right)),
        tuple(sorted((first, second))),
        (first, second),
        _replacements(facts, row),
    )


def _replacements(facts: list[tuple[str, str]], row: dict) -> tuple[tuple[str, ...], ...]:
    used = {word for fact in facts for word in fact}
    lists = [words.THINGS, words.CONTAINERS, words.KINDS["room"]]
    things, containers, rooms = ([w for w in kind if w not in used] for kind in lists)
    rng = np.random.default_rng([int(row["id"].split("-")[-1]), len(row["id"])])
    out = []
    for what, _ in facts:
        kinds = (containers, rooms) if what in words.CONTAINERS else (things, containers)
        drawn = [rng.permutation(kind)[:REPLACEMENTS] for kind in kinds]
        out.append(tuple(f"The {a} is in the {b}." for a, b in zip(*drawn, strict=True)))
    return tuple(out)
