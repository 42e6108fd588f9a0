"""Tasks made by us from templates: pairs of single-token answers, as circuits are studied on.

The templates and words stand in the cards. Draws use `random.Random.random` alone, whose numbers
Python promises not to change, so a card's seed gives the same questions everywhere.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from spex_mech.core.errors import InputError
from spex_mech.core.quoting import quoted
from spex_mech.tasks.questions import Question
from spex_mech.tasks.templates import fill

MOST_QUESTIONS = 100_000
"""Most questions of a card."""
_PAIRS = ("nouns", "verbs")  # given as [singular, plural]
_DRAWN_TWICE = ("names", "nouns")

T = TypeVar("T")
Words = Mapping[str, Sequence[Any]]


def generate(
    kind: str, templates: Sequence[str], words: Words, *, count: int, seed: int
) -> list[Question]:
    """Different questions of one kind.

    Args:
        kind: ``ioi``, ``greater_than``, ``agreement`` or ``pronouns``.
        templates: prompts with fields in braces, used in turn.
        words: what the fields are filled with.
        count: number of questions.
        seed: seed of the draws.

    Raises:
        InputError: an unknown kind, words that it lacks or that are no words, a count that no card
            needs, or fewer questions than asked for.
    """
    if not 1 <= count <= MOST_QUESTIONS or not templates:
        raise InputError(
            f"a generator has count {quoted(count)} and {len(templates)} templates, expected a count from "
            f"1 to {MOST_QUESTIONS} and at least one template"
        )
    if kind not in _KINDS:
        raise InputError(f"unknown generator {kind!r}; expected one of {', '.join(_KINDS)}")
    make, needs = _KINDS[kind]
    lacking = [name for name in needs if not words.get(name)]
    if lacking:
        raise InputError(f"generator {kind!r} lacks words {lacking}; it needs {list(needs)}")
    _check_words(kind, words, _PAIRS, [name for name in needs if name in _DRAWN_TWICE])
    draw = _Draw(seed)
    questions: dict[str, Question] = {}
    for _ in range(50 * count):
        if len(questions) == count:
            break
        turn, at = divmod(len(questions), len(templates))
        text, options = make(templates[at], words, draw, turn % 2 == 1)
        if text not in questions:
            questions[text] = Question(f"{kind}/{len(questions)}", {"text": text}, options, 0)
    if len(questions) < count:
        raise InputError(
            f"the templates and words of generator {kind!r} make {len(questions)} different questions, "
            f"expected {count}; lower count or add words"
        )
    return list(questions.values())


class _Draw:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def one(self, items: Sequence[T]) -> T:
        return items[int(self._random.random() * len(items))]

    def two(self, items: Sequence[T]) -> tuple[T, T]:
        """Two different items, by position."""
        i = int(self._random.random() * len(items))
        j = int(self._random.random() * (len(items) - 1))
        return items[i], items[j + (j >= i)]

    def number(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return low + int(self._random.random() * (high - low + 1))


def _others(template: str, words: Words, draw: _Draw, taken: Sequence[str]) -> dict[str, str]:
    """A word for every field of the template that the generator does not fill by itself."""
    return {
        name: draw.one(items)
        for name, items in words.items()
        if name not in taken and "{" + name + "}" in template
    }


def _ioi(template: str, words: Words, draw: _Draw, odd: bool) -> tuple[str, tuple[str, str]]:
    """Indirect object identification (Wang et al. 2022, arXiv 2211.00593).

    Two people are named, one acts, and the other is the answer. {first} and {second} are the two in
    either order, by turns, so that half of the questions read ABBA, half BABA; {giver} is the one who acts.
    """
    giver, receiver = draw.two(words["names"])
    first, second = (giver, receiver) if odd else (receiver, giver)
    fields = _others(template, words, draw, ["names"])
    text = _fill(template, {**fields, "first": first, "second": second, "giver": giver})
    return text, (f" {receiver}", f" {giver}")


def _greater_than(
    template: str, words: Words, draw: _Draw, odd: bool
) -> tuple[str, tuple[str, str]]:
    """A later year (after Hanna et al. 2023, arXiv 2305.00586), as a pair.

    From the year {century}{year} to the year {century}..: the right continuation is a two-digit year
    above {year}, the wrong one a two-digit year below it; both are drawn evenly.
    """
    year = draw.number(2, 98)
    later, earlier = draw.number(year + 1, 99), draw.number(1, year - 1)
    fields = _others(template, words, draw, ["century"])
    century = draw.one(words["century"])
    text = _fill(template, {**fields, "century": century, "year": f"{year:02d}"})
    return text, (f"{later:02d}", f"{earlier:02d}")


def _agreement(template: str, words: Words, draw: _Draw, odd: bool) -> tuple[str, tuple[str, str]]:
    """Subject–verb agreement across an attractor (after Linzen et al. 2016, arXiv 1611.01368).

    {subject} and {attractor} are nouns given as [singular, plural], of opposite number; a verb is
    given as [singular, plural]. Subjects are singular and plural by turns.
    """
    plural = int(odd)
    subject, attractor = draw.two(words["nouns"])
    verb = draw.one(words["verbs"])
    fields = _others(template, words, draw, ["nouns", "verbs"])
    nouns = {"subject": subject[plural], "attractor": attractor[1 - plural]}
    text = _fill(template, {**fields, **nouns})
    return text, (f" {verb[plural]}", f" {verb[1 - plural]}")


def _pronouns(template: str, words: Words, draw: _Draw, odd: bool) -> tuple[str, tuple[str, str]]:
    """Gendered pronouns (after Mathwin et al. 2023): a first name, then "he" or "she"."""
    right, wrong = ("he", "she") if odd else ("she", "he")
    fields = _others(template, words, draw, ["he", "she"])
    text = _fill(template, {**fields, "name": draw.one(words[right])})
    return text, (f" {right}", f" {wrong}")


def _fill(template: str, fields: Mapping[str, str]) -> str:
    return fill(template, fields, "a generator")


def _check_words(kind: str, words: Words, pairs: Sequence[str], two: Sequence[str]) -> None:
    """Refuse words of a wrong type, and lists of which two words are drawn with only one."""
    for name, items in words.items():
        if not isinstance(items, list) or not items:
            raise InputError(f"words.{quoted(name)} is {quoted(items)}, expected a list of words")
        for item in items:
            pair = (
                isinstance(item, list) and len(item) == 2 and all(isinstance(x, str) for x in item)
            )
            if not (pair if name in pairs else isinstance(item, str)):
                wanted = "[singular, plural]" if name in pairs else "text"
                raise InputError(f"words.{name} has {quoted(item)}, expected {wanted}")
    for name in two:
        if len(words[name]) < 2:
            raise InputError(
                f"words.{name} of generator {kind!r} has one entry, expected two or more"
            )


_Make = Callable[[str, Words, _Draw, bool], tuple[str, tuple[str, str]]]
_KINDS: dict[str, tuple[_Make, tuple[str, ...]]] = {
    "ioi": (_ioi, ("names",)),
    "greater_than": (_greater_than, ("century",)),
    "agreement": (_agreement, ("nouns", "verbs")),
    "pronouns": (_pronouns, ("he", "she")),
}
