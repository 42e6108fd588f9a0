"""The question sets: BLiMP's pairs by their beginnings, years by a digit, and cards that exist."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import spex_mech as sm
from spex_mech.tasks.task import ChoiceTask, Example

CARD = """version = 1
description = "{description}"
data = "{name}.jsonl"
template = "{{question}}"
form = "pairs"
metric = "margin"
"""
CARDS = {
    "ioi": "circuits/ioi",
    "agreement": Path(__file__).parents[1] / "real_models" / "tasks" / "agreement.toml",
}
SPLITS = 5  # draws of questions that share no search question and no test question

Rows = Iterable[dict[str, object]]


def load(name: str, *, data: Path, folder: Path, one_token: Callable[[str], bool]) -> ChoiceTask:
    """The questions of a set: ``ioi``, ``agreement``, ``greater_than``, a set of BLiMP, or a card.

    Args:
        name: of the set; a name with a slash is that of a card.
        data: folder of BLiMP's published files.
        folder: where to write cards.
        one_token: whether the model's tokenizer has a text as one token.
    """
    if name in CARDS:
        return sm.load_task(CARDS[name])
    if "/" in name:
        return sm.load_task(name)
    if name == "greater_than":
        rows, about = decades(), "the decade in which a span of years may end, as two digits"
    else:
        rows = beginnings(data / f"{name}.jsonl", one_token)
        about = f"BLiMP's {name}: a beginning, and the two words that may follow"
    return sm.load_task(_write(name, about, rows, folder))


def one_token_of(model: sm.Model) -> Callable[[str], bool]:
    """Whether a model's tokenizer has a text as one token."""
    return lambda text: len(model.tokenizer(text, add_special_tokens=False)["input_ids"]) == 1


def beginnings(path: Path, one_token: Callable[[str], bool]) -> list[dict[str, object]]:
    """A set of BLiMP (Warstadt et al. 2020) as beginnings, each with the right and the wrong next word.

    Pairs of sentences that differ in one word after a common beginning (``one_prefix_method``) are taken,
    each once, where both words are one token.
    """
    pairs = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    seen = dict.fromkeys(
        (p["one_prefix_prefix"], " " + p["one_prefix_word_good"], " " + p["one_prefix_word_bad"])
        for p in pairs
        if p["one_prefix_method"]
    )
    return [
        {"question": question, "choices": [good, bad], "answer": 0}
        for question, good, bad in seen
        if one_token(good) and one_token(bad)
    ]


def decades() -> list[dict[str, object]]:
    """The questions of circuits/greater_than where the decade decides, which is asked as one digit.

    "The war lasted from the year 1732 to the year 17" goes on with a decade that may follow, or with an
    earlier one that may not. A tokenizer that cuts years into digits has each as one token.
    """
    return [
        {"question": x.prompt, "choices": [o[0] for o in x.options], "answer": x.answer}
        for x in sm.load_task("circuits/greater_than").examples
        if x.options[0][0] != x.options[1][0]
    ]


def drawn(task: ChoiceTask, split: int, *, search: int, test: int) -> ChoiceTask:
    """The search and test questions of one of `SPLITS` draws, none of which another draw has.

    Questions are put in order by a hash. No test question is searched in any draw.

    Args:
        task: the whole set.
        split: number of the draw, from 0.
        search: questions to search with, in each draw.
        test: most questions to test with, in each draw.

    Raises:
        ValueError: fewer questions than the searches of all draws need.
    """
    order = sorted(task.examples, key=_key)
    searched, left = order[: SPLITS * search], order[SPLITS * search :]
    if len(left) < SPLITS:
        raise ValueError(f"{len(order)} questions are too few for {SPLITS} searches of {search}")
    chosen = [replace(x, split="search") for x in searched[split::SPLITS]]
    chosen += [replace(x, split="test") for x in left[split::SPLITS][:test]]
    return replace(task, examples=tuple(chosen))


def _key(example: Example) -> str:
    return sha256(f"{example.prompt} {example.options}".encode()).hexdigest()


def _write(name: str, description: str, rows: Rows, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    card = folder / f"{name}.toml"
    card.write_text(CARD.format(name=name, description=description), encoding="utf-8")
    return card
