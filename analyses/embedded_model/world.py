"""The synthetic world: questions about invented people, boxes, countries and words.

`make_item` draws one question of a subject. A question belongs to exactly one of the parts
train, search, validation and test, decided by its content alone (`part_of`), so the training
generator can never produce a held-out question. `split_rows` builds the shipped data.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import words as w

SUBJECTS = ("people", "boxes", "capitals", "kinds", "moves", "order", "travel")
SPLIT_SIZES = {"search": 240, "validation": 240, "test": 480}
DATA_SEED = 20240
LETTERS = "ABCD"


@dataclass
class Item:
    """One question, its right answer and wrong answers to choose from, best first."""

    subject: str
    question: str
    answer: str
    wrong: list[str]
    sentences: list[str] = field(default_factory=list)
    part: str = ""  # set where the part does not follow from a hash of the content
    # every question the passage answers, as (question, answer, wrong answers)
    asked: list[tuple[str, str, list[str]]] = field(default_factory=list)
    # simpler questions about the passage, for training only
    easier: list[tuple[str, str, list[str]]] = field(default_factory=list)

    @property
    def passage(self) -> str:
        """The sentences as one text."""
        return " ".join(self.sentences)


def pick(rng: np.random.Generator, pool: Sequence[Any], k: int) -> list[Any]:
    """Draw `k` different members of `pool`, in random order."""
    return [pool[i] for i in rng.permutation(len(pool))[:k]]


def one(rng: np.random.Generator, pool: Sequence[Any]) -> Any:
    """Draw one member of `pool`."""
    return pool[int(rng.integers(len(pool)))]


def part_of(item: Item) -> str:
    """The part an item belongs to: 70 % train and 10 % for each held-out split.

    The key is the passage where there is one, so two parts never share a passage either.
    """
    if item.part:
        return item.part
    key = item.passage or item.question + "|" + " ".join(sorted([item.answer, *item.wrong]))
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    bucket = int.from_bytes(digest, "big") % 10
    return ("search", "validation", "test")[bucket] if bucket < 3 else "train"


def _item_of(
    subject: str,
    rng: np.random.Generator,
    sentences: list[str],
    asked: list[tuple[str, str, list[str]]],
) -> Item:
    """An item that asks one of the questions a passage answers, and remembers the others."""
    asked = pick(rng, asked, len(asked))
    return Item(subject, *asked[0], sentences=sentences, asked=asked)


def _people(rng: np.random.Generator, size: int, facts: int) -> Item:
    names = pick(rng, w.PEOPLE, size)
    kinds = pick(rng, list(w.PEOPLE_FACTS), facts)
    sentences, values = [], {}
    for kind in kinds:
        sentence, _, pool = w.PEOPLE_FACTS[kind]
        values[kind] = pick(rng, pool, size)
        sentences += [sentence.format(n=n, v=v) for n, v in zip(names, values[kind], strict=True)]
    asked = []
    for kind in kinds:
        question, pool = w.PEOPLE_FACTS[kind][1], values[kind]
        for n, v in zip(names, pool, strict=True):
            asked.append((question.format(n=n), v, [other for other in pool if other != v]))
    return _item_of("people", rng, pick(rng, sentences, len(sentences)), asked)


def _boxes(rng: np.random.Generator, size: int) -> Item:
    things = pick(rng, w.THINGS, size)
    boxes = pick(rng, w.CONTAINERS, size)
    rooms = pick(rng, w.KINDS["room"], size)
    sentence = w.OTHER_TEMPLATES[0]
    pairs = [*zip(things, boxes, strict=True), *zip(boxes, rooms, strict=True)]
    sentences = [sentence.format(o=o, v=v) for o, v in pairs]
    asked = [
        (f"Which room is the {o} in?", r, [other for other in rooms if other != r])
        for o, r in zip(things, rooms, strict=True)
    ]
    item = _item_of("boxes", rng, pick(rng, sentences, 2 * size), asked)
    for o, b, r in zip(things, boxes, rooms, strict=True):  # each hop by itself
        item.easier += [
            (f"What is the {o} in?", b, [other for other in boxes if other != b]),
            (f"Which room is the {b} in?", r, [other for other in rooms if other != r]),
        ]
    return item


def closed_book_templates(country: int) -> dict[str, list[int]]:
    """The wordings in which each part asks about a country: disjoint between the parts."""
    rotated = [(country + j) % 6 for j in range(6)]
    return {
        "train": rotated[:3],
        "search": rotated[3:4],
        "validation": rotated[4:5],
        "test": rotated[5:],
    }


def _capitals(rng: np.random.Generator, part: str) -> Item:
    i = int(rng.integers(len(w.COUNTRIES)))
    values, questions = one(rng, [(w.CAPITALS, w.CAPITAL_QUESTIONS), (w.COINS, w.COIN_QUESTIONS)])
    question = questions[one(rng, closed_book_templates(i)[part])].format(c=w.COUNTRIES[i])
    wrong = [v for v in pick(rng, values, 4) if v != values[i]][:3]
    return Item("capitals", question, values[i], wrong, part=part)


def _kinds(rng: np.random.Generator) -> Item:
    form = int(rng.integers(3))
    kinds = pick(rng, list(w.KINDS), 4)
    article = "an" if kinds[0][0] in "aeiou" else "a"
    if form == 0:  # one fits
        answer, *wrong = [one(rng, w.KINDS[kind]) for kind in kinds]
        return Item("kinds", f"Which of these is {article} {kinds[0]}?", answer, wrong)
    wrong = pick(rng, w.KINDS[kinds[0]], 3)  # one does not fit
    answer = one(rng, w.KINDS[kinds[1]])
    if form == 1:
        return Item("kinds", f"Which of these is not {article} {kinds[0]}?", answer, wrong)
    return Item("kinds", "Which of these is not like the others?", answer, wrong)


def _moves(rng: np.random.Generator, size: int) -> Item:
    names = pick(rng, w.PEOPLE, max(2, size - 1))
    moves = max(3, size + 2)
    places = pick(rng, w.PLACES, moves)
    # everybody moves at least once, and the one asked about at least twice
    who = [names[0], *names, *(one(rng, names) for _ in range(moves - len(names) - 1))]
    who = pick(rng, who, moves)
    sentences = [
        f"{n} {one(rng, w.MOVE_VERBS)} to the {p}." for n, p in zip(who, places, strict=True)
    ]
    asked = []
    for name in names:
        own = [p for n, p in zip(who, places, strict=True) if n == name]
        others = pick(rng, [p for p in places if p not in own], moves)
        asked.append((f"Where is {name} now?", own[-1], own[:-1][::-1][:2] + others))
    # the question proper is about the first, who moved at least twice
    return Item("moves", *asked[0], sentences=sentences, asked=asked)


def _order(rng: np.random.Generator, size: int) -> Item:
    names = pick(rng, w.PEOPLE, size)
    relation = one(rng, list(w.RELATIONS))
    sentences = [f"{a} is {relation} than {b}." for a, b in pairwise(names)]
    first, last = w.RELATIONS[relation]
    asked = [
        (f"Who is the {first}?", names[0], names[:0:-1]),
        (f"Who is the {last}?", names[-1], names[:-1]),
    ]
    return _item_of("order", rng, pick(rng, sentences, size - 1), asked)


def _travel(rng: np.random.Generator, size: int) -> Item:
    names = pick(rng, w.PEOPLE, size)
    picked = pick(rng, range(len(w.COUNTRIES)), size)
    sentences = [f"{n} comes from {w.COUNTRIES[i]}." for n, i in zip(names, picked, strict=True)]
    capitals = [w.CAPITALS[i] for i in picked]
    asked = [
        (
            f"What is the capital of the country of {n}?",
            v,
            [other for other in capitals if other != v],
        )
        for n, v in zip(names, capitals, strict=True)
    ]
    return _item_of("travel", rng, pick(rng, sentences, size), asked)


def make_item(
    subject: str, rng: np.random.Generator, part: str = "train", size: int = 4, facts: int = 2
) -> Item:
    """Draw one question of a subject from the given part.

    Args:
        subject: one of `SUBJECTS`.
        rng: the source of all chance.
        part: train, search, validation or test.
        size: how many people, chains or moves the passage has (2 to 5; the shipped data: 4).
        facts: how many facts about each person (subject people; the shipped data: 2).
    """
    while True:
        if subject == "people":
            item = _people(rng, size, facts)
        elif subject == "boxes":
            item = _boxes(rng, size)
        elif subject == "capitals":
            item = _capitals(rng, part)
        elif subject == "kinds":
            item = _kinds(rng)
        elif subject == "moves":
            item = _moves(rng, size)
        elif subject == "order":
            item = _order(rng, size)
        elif subject == "travel":
            item = _travel(rng, size)
        else:
            raise ValueError(f"unknown subject {subject!r}")
        if part_of(item) == part:
            return item


def choices_of(
    answer: str, wrong: list[str], rng: np.random.Generator, right: int, count: int = 4
) -> list[str]:
    """The options of a question, with the right answer at position `right`."""
    wrong = pick(rng, wrong[: count - 1], count - 1)
    return [*wrong[:right], answer, *wrong[right:]]


def prompt_of(passage: str, question: str, choices: Sequence[str]) -> str:
    """The prompt in the format of four-choice questions."""
    lines = [passage] if passage else []
    lines += [question, *(f"{a}. {c}" for a, c in zip(LETTERS, choices, strict=False))]
    return "\n".join([*lines, "Answer:"])


def split_rows(subject: str, split: str) -> list[dict[str, Any]]:
    """The shipped rows of one split of one subject: unique questions, balanced letters."""
    stream = [DATA_SEED, SUBJECTS.index(subject), list(SPLIT_SIZES).index(split)]
    rng = np.random.default_rng(stream)
    count = SPLIT_SIZES[split]
    letters = rng.permutation(np.arange(count) % 4)
    rows: list[dict[str, Any]] = []
    seen = set()
    while len(rows) < count:
        item = make_item(subject, rng, split)
        right = int(letters[len(rows)])
        choices = choices_of(item.answer, item.wrong, rng, right)
        key = (item.passage, item.question, tuple(sorted(choices)))
        if key in seen:
            continue
        seen.add(key)
        rows.append(
            {
                "id": f"{subject}-{split}-{len(rows):04d}",
                "split": split,
                "passage": item.passage,
                "question": item.question,
                "choices": choices,
                "answer": right,
            }
        )
    return rows


def tokens_of(text: str) -> list[str]:
    """Split a text as the shipped tokenizer does: words and single punctuation marks."""
    return re.findall(r"\w+|[^\w\s]", text)


def vocabulary() -> list[str]:
    """All tokens, special ones first; a token's number is its place in this list."""
    templates = [*w.OTHER_TEMPLATES, *w.CAPITAL_QUESTIONS, *w.COIN_QUESTIONS, *w.MOVE_VERBS]
    templates += [part for s, q, _ in w.PEOPLE_FACTS.values() for part in (s, q)]
    templates += [word for low, ends in w.RELATIONS.items() for word in (low, *ends)]
    words = {t for text in templates for t in tokens_of(re.sub(r"\{\w\}", "", text))}
    lists = [w.PEOPLE, w.TOWNS, w.CONTAINERS, w.THINGS, w.PLACES, w.COUNTRIES, w.CAPITALS]
    lists += [w.COINS, *w.KINDS.values(), list(w.KINDS)]
    words.update(word for group in lists for word in group)
    return ["<pad>", "<s>", "</s>", "<unk>", *sorted(words)]
