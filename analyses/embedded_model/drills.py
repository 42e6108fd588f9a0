"""Training sequences: drills, open questions and four-choice questions, densely supervised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import words as w
import world
from world import one, pick

INDEX = {token: i for i, token in enumerate(world.vocabulary())}
BOS, EOS = INDEX["<s>"], INDEX["</s>"]
WORD_LISTS = [*w.KINDS.values(), w.PEOPLE, w.TOWNS, w.PLACES, w.CAPITALS, w.COINS]


@dataclass(frozen=True)
class Stage:
    """What one stage of training shows.

    Attributes:
        start: the step at which the stage begins.
        drill: share of sequences that only match words to letters.
        open: chance that a question is asked without options.
        extra: chance of each further question about the same passage.
        options: how many options a question may have.
        sizes: sizes of a passage (see `world.make_item`).
        head_dropout: whether heads are dropped at random.
        easier: chance of a simpler question where the passage has one.
        weights: how often each subject comes; all alike where empty.
    """

    start: int
    drill: float
    open: float
    extra: float
    options: tuple[int, ...]
    sizes: tuple[int, ...]
    head_dropout: bool
    easier: float = 0.0
    weights: tuple[float, ...] = ()


@dataclass
class Sequence:
    """Token numbers, and the places whose *next* token is an answer."""

    ids: list[int]
    answers: list[int]

    def add(self, text: str) -> None:
        """Append the tokens of a text."""
        self.ids += [INDEX[t] for t in world.tokens_of(text)]

    def add_answer(self, answer: str) -> None:
        """Append "Answer:" and a supervised one-token answer."""
        self.add("Answer:")
        self.answers.append(len(self.ids) - 1)
        self.ids.append(INDEX[answer])


def _letter_drill(rng: np.random.Generator, stage: Stage) -> Sequence:
    """A list of options, then each option by itself with its letter as the answer."""
    sequence = Sequence([BOS], [])
    count = one(rng, stage.options)
    options = pick(rng, one(rng, WORD_LISTS), count)
    for letter, option in zip(world.LETTERS, options, strict=False):
        sequence.add(f"{letter}. {option}")
    for i in rng.permutation(count):
        sequence.add(options[i])
        sequence.add_answer(world.LETTERS[i])
    return sequence


def _naming_drill(rng: np.random.Generator, stage: Stage) -> Sequence:
    """Questions that name the right option: four-choice questions without any knowledge."""
    sequence = Sequence([BOS], [])
    for _ in range(3):
        count = one(rng, stage.options)
        answer, *wrong = pick(rng, one(rng, WORD_LISTS), count)
        asked = (f"Which of these is {answer}?", answer, wrong)
        _ask(sequence, rng, stage, asked, is_open=False)
    return sequence


def _ask(
    sequence: Sequence,
    rng: np.random.Generator,
    stage: Stage,
    asked: tuple[str, str, list[str]],
    is_open: bool,
) -> None:
    question, answer, wrong = asked
    sequence.add(question)
    if is_open:
        sequence.add_answer(answer)
        return
    count = min(one(rng, stage.options), len(wrong) + 1)
    right = int(rng.integers(count))
    options = world.choices_of(answer, wrong, rng, right, count)
    for letter, option in zip(world.LETTERS, options, strict=False):
        sequence.add(f"{letter}. {option}")
    sequence.add_answer(world.LETTERS[right])


def _with_passage(subject: str, rng: np.random.Generator, stage: Stage) -> Sequence:
    facts = int(rng.integers(1, 4)) if rng.random() < 0.3 else 2
    item = world.make_item(subject, rng, size=one(rng, stage.sizes), facts=facts)
    sequence = Sequence([BOS], [])
    sequence.add(item.passage)
    count = 1 + rng.binomial(3, stage.extra)
    for asked in item.asked[:count]:
        if stage.easier and item.easier and rng.random() < stage.easier:
            asked = one(rng, item.easier)
        _ask(sequence, rng, stage, asked, rng.random() < stage.open)
    return sequence


def _without_passage(subject: str, rng: np.random.Generator, stage: Stage) -> Sequence:
    sequence = Sequence([BOS], [])
    count = 1 + rng.binomial(3, 0.35 + 0.65 * stage.extra)
    for _ in range(count):
        is_open = rng.random() < stage.open
        if subject == "kinds" and is_open:
            kind = one(rng, list(w.KINDS))
            word = one(rng, w.KINDS[kind])
            asked = (f"What kind of thing is the {word}?", kind, [])
        else:
            item = world.make_item(subject, rng)
            asked = (item.question, item.answer, item.wrong)
        _ask(sequence, rng, stage, asked, is_open)
    return sequence


def make_sequence(rng: np.random.Generator, stage: Stage) -> Sequence:
    """Draw one training sequence."""
    if rng.random() < stage.drill:
        return one(rng, (_letter_drill, _naming_drill))(rng, stage)
    if stage.weights:
        shares = np.array(stage.weights) / sum(stage.weights)
        subject = world.SUBJECTS[rng.choice(len(shares), p=shares)]
    else:
        subject = one(rng, world.SUBJECTS)
    make = _without_passage if subject in ("capitals", "kinds") else _with_passage
    sequence = make(subject, rng, stage)
    sequence.ids.append(EOS)
    return sequence
