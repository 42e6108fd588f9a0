"""Five circuits that are known because they were written by hand, each among heads that do something else.

Every circuit is a list of parts with a layer each. `build` puts them at random heads of a model of 4 layers ×
4 heads, and fills the other heads with distractors: heads that copy other tokens, average, or shift all
logits. They change activations and logits, and the difference of the two answers, which is 2 or more, by less
than .00001.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from compiler import (
    ASK,
    BOS,
    CONTENT,
    HEADS,
    LAYERS,
    MARK_1,
    MARK_2,
    VOCABULARY,
    HandHead,
    gpt2,
)
from transformers import GPT2LMHeadModel

SHARP = 30.0  # of one agreeing dimension of a code
EXACT = 150.0  # of positions: 29 between neighbours
_Questions = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Plan:
    """A circuit before it is compiled.

    Attributes:
        parts: name to (lowest layer, head); a part stands in a later layer than the parts before it that it
            ``reads``.
        reads: name to the names whose output it reads.
        role: positions with the flag ``role``.
        questions: from a generator and a number to token ids (e, t) and answers (e, 2), the right one first.
        interactions: the Moebius coefficients of the margin that are not zero, by the names of their parts,
            as signs.
    """

    parts: Mapping[str, Callable[[], HandHead]]
    reads: Mapping[str, tuple[str, ...]]
    role: tuple[int, ...]
    questions: Callable[[np.random.Generator, int], _Questions]
    interactions: Mapping[tuple[str, ...], int]


@dataclass(frozen=True, eq=False)
class KnownCircuit:
    """A compiled model, its questions and its circuit.

    Attributes:
        name: the circuit's name.
        model: the model, as Hugging Face's.
        parts: name of each part to (layer, head).
        truth: bool (16,), True = in the circuit; player ``layer * HEADS + head``.
        interactions: players (sorted) to the sign of their Moebius coefficient.
        draw: from a seed and a number to token ids (e, t) and answers (e, 2), the right one first.
        ablation: what removed heads become.
    """

    name: str
    model: GPT2LMHeadModel
    parts: Mapping[str, tuple[int, int]]
    truth: np.ndarray
    interactions: Mapping[tuple[int, ...], int]
    draw: Callable[[int, int], _Questions]
    ablation: str = "zero"


def build(name: str, seed: int) -> KnownCircuit:
    """Compile a circuit of `PLANS`; the seed chooses the heads, the codes of tokens, and the distractors."""
    plan, rng = PLANS[name], np.random.default_rng([seed, sorted(PLANS).index(name)])
    codes = np.zeros((VOCABULARY, 4))
    every = 1.0 - 2.0 * ((np.arange(16)[:, None] >> np.arange(4)) & 1)
    codes[list(CONTENT)] = rng.permutation(every)[: len(CONTENT)]
    junk = rng.normal(size=(VOCABULARY, 4))
    junk[list(CONTENT)] = 0.0
    parts = _places(plan, rng)
    heads = {place: plan.parts[part]() for part, place in parts.items()}
    for place in np.ndindex(LAYERS, HEADS):
        if place not in heads:
            heads[place] = _distractor(place[0], rng)
    truth = np.zeros(LAYERS * HEADS, dtype=bool)
    player = {part: layer * HEADS + head for part, (layer, head) in parts.items()}
    truth[list(player.values())] = True

    def draw(question_seed: int, count: int) -> _Questions:
        ids, answers = plan.questions(np.random.default_rng([question_seed, 1]), count)
        return ids, answers

    return KnownCircuit(
        name,
        gpt2(heads, codes, plan.role, junk),
        parts,
        truth,
        {tuple(sorted(player[p] for p in s)): sign for s, sign in plan.interactions.items()},
        draw,
    )


def _places(plan: Plan, rng: np.random.Generator) -> dict[str, tuple[int, int]]:
    """A random head for each part, in a later layer than what it reads."""
    while True:
        layer: dict[str, int] = {}
        for part in plan.parts:
            first = 1 + max((layer[other] for other in plan.reads.get(part, ())), default=-1)
            if first >= LAYERS:
                break
            layer[part] = int(rng.integers(first, LAYERS))
        else:
            heads = {part: (layer[part], int(rng.integers(HEADS))) for part in plan.parts}
            if len(set(heads.values())) == len(heads):
                return heads


def _distractor(layer: int, rng: np.random.Generator) -> HandHead:
    """A head that changes what is not part of the metric."""
    gain = float(rng.uniform(0.5, 2.0)) * (1 if rng.random() < 0.5 else -1)
    kind = int(rng.integers(5 if layer else 4))
    if kind == 0:  # copies the token some positions back
        return HandHead().back(int(rng.integers(1, 4)), EXACT).move("token", "junk", gain)
    if kind == 1:  # averages all tokens so far
        return HandHead().move("token", "junk", 3 * gain)
    if kind == 2:  # attends to the first token, and shifts all logits
        return HandHead().prefer("bos", SHARP).mark("shift", 0.0, "bos", gain)
    if kind == 3:  # attends to equal tokens, and copies their place
        return HandHead().match("token", "token", SHARP).move("place", "junk", gain)
    return (
        HandHead().back(0, EXACT).move("junk", "shift", gain)
    )  # turns an earlier one's output into a shift


def _previous() -> HandHead:
    return HandHead().back(1, EXACT).move("token", "a")


def _copying(gain: float) -> HandHead:
    """Attends to what came after an earlier occurrence of the token, else to the first token; copies it."""
    head = HandHead().match("token", "a", SHARP).prefer("bos", 3 * SHARP)
    return head.move("token", "answer", gain)


def _primary() -> HandHead:
    """A copying head that also says that it has answered."""
    return _copying(1.0).mark("flag", 1.0, "bos", -1.0)


def _backup() -> HandHead:
    """A copying head that attends to the first token where the flag is set."""
    return _copying(0.8).prefer_if("flag", "bos", 6 * SHARP)


def _duplicate() -> HandHead:
    """Attends to an earlier occurrence of the token, two or three positions back, and writes its place."""
    return HandHead().match("token", "token", SHARP / 2).back(2.5, 40.0).move("place", "b")


def _inhibition() -> HandHead:
    """At the end, fetches from two positions back the place that was found there."""
    return HandHead().back(2, EXACT).move("b", "a")


def _mover() -> HandHead:
    """Copies the name at that of the two name positions which is farther from the place in the slot ``a``."""
    return HandHead().back(0, -EXACT, mine="a").prefer("role", 340.0).move("token", "answer")


def _hop(mine: str, target: str) -> HandHead:
    """Attends to the value whose key agrees with the slot ``mine``, else to the first token."""
    head = HandHead().match(mine, "a", SHARP).prefer("role", 2 * SHARP)
    head.query[:, 7] = 0.0
    return head.prefer_if("flag", "bos", 0.0, 5 * SHARP).move("token", target)


def _sees(mark: str) -> HandHead:
    """Attends to a mark, and adds 1 to the flag."""
    return HandHead().prefer(mark, SHARP).mark("flag", 0.0, mark, 1.0)


def _reader() -> HandHead:
    """Copies the token at the role's position if the flag is above 1.5, else attends to the first token."""
    head = HandHead().prefer_if("flag", "role", 80.0, -120.0).prefer("bos", 20.0)
    return head.move("token", "answer")


def _content(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.permutation(np.array(CONTENT))[:count]


def _induction_questions(rng: np.random.Generator, count: int) -> _Questions:
    """``a b ... a``: the answer is b, and the wrong answer another token of the prompt."""
    ids, answers = np.empty((count, 10), dtype=np.int64), np.empty((count, 2), dtype=np.int64)
    for e in range(count):
        tokens = _content(rng, 8)
        j = int(rng.integers(0, 7))
        ids[e] = [BOS, *tokens, tokens[j]]
        others = [t for t in tokens if t not in (tokens[j], tokens[j + 1])]
        answers[e] = tokens[j + 1], rng.choice(others)
    return ids, answers


def _name_questions(rng: np.random.Generator, count: int) -> _Questions:
    """``A B x S y ?`` with S one of the two names: the answer is the other name."""
    ids, answers = np.empty((count, 7), dtype=np.int64), np.empty((count, 2), dtype=np.int64)
    for e in range(count):
        a, b, x, y = _content(rng, 4)
        said, other = (a, b) if rng.random() < 0.5 else (b, a)
        ids[e] = BOS, a, b, x, said, y, ASK
        answers[e] = other, said
    return ids, answers


def _two_hop_questions(rng: np.random.Generator, count: int) -> _Questions:
    """Facts ``a b``, ``b c`` and ``d e`` in random order, and then ``a``: the answer is c, and not e."""
    ids, answers = np.empty((count, 8), dtype=np.int64), np.empty((count, 2), dtype=np.int64)
    for e in range(count):
        a, b, c, d, other = _content(rng, 5)
        facts = rng.permutation(np.array([(a, b), (b, c), (d, other)]))
        ids[e] = BOS, *facts.ravel(), a
        answers[e] = c, other
    return ids, answers


def _and_questions(rng: np.random.Generator, count: int) -> _Questions:
    """Content with both marks among it, and then ``?``: the answer is the first token, not another one."""
    ids, answers = np.empty((count, 9), dtype=np.int64), np.empty((count, 2), dtype=np.int64)
    for e in range(count):
        tokens = _content(rng, 5)
        ids[e] = BOS, tokens[0], *rng.permutation(np.array([*tokens[1:], MARK_1, MARK_2])), ASK
        answers[e] = tokens[0], rng.choice(tokens[1:])
    return ids, answers


PLANS: Mapping[str, Plan] = {
    "induction": Plan(
        {"previous": _previous, "copy 1": lambda: _copying(1.0), "copy 2": lambda: _copying(0.5)},
        {"copy 1": ("previous",), "copy 2": ("previous",)},
        (),
        _induction_questions,
        {("previous", "copy 1"): 1, ("previous", "copy 2"): 1},
    ),
    "inhibition": Plan(
        {"duplicate": _duplicate, "inhibition": _inhibition, "mover": _mover},
        {"inhibition": ("duplicate",), "mover": ("inhibition",)},
        (1, 2),
        _name_questions,
        {("duplicate", "inhibition", "mover"): 1},
    ),
    "two hops": Plan(
        {
            "previous": _previous,
            "first hop": lambda: _hop("token", "b"),
            "second hop": lambda: _hop("b", "answer"),
        },
        {"first hop": ("previous",), "second hop": ("first hop",)},
        (2, 4, 6),
        _two_hop_questions,
        {("previous", "first hop", "second hop"): 1},
    ),
    "and": Plan(
        {"sees 1": lambda: _sees("mark 1"), "sees 2": lambda: _sees("mark 2"), "reader": _reader},
        {"reader": ("sees 1", "sees 2")},
        (1,),
        _and_questions,
        {("sees 1", "sees 2", "reader"): 1},
    ),
    "backup": Plan(
        {"previous": _previous, "primary": _primary, "backup": _backup},
        {"primary": ("previous",), "backup": ("previous", "primary")},
        (),
        _induction_questions,
        {
            ("previous", "primary"): 1,
            ("previous", "backup"): 1,
            ("previous", "primary", "backup"): -1,
        },
    ),
}
"""The circuits by name."""
