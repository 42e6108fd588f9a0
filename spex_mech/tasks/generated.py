"""Tasks made by us from templates: pairs of single-token answers, as circuits are studied on.

The templates and words stand in the cards. Draws use `random.Random.random` alone, whose numbers
Python promises not to change, so a card's seed gives the same questions everywhere.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    kind: str,
    templates: Sequence[str],
    words: Words,
    *,
    count: int,
    seed: int,
    partner: str | None = None,
) -> list[Question]:
    """Different questions of one kind.

    Args:
        kind: ``ioi``, ``greater_than``, ``agreement`` or ``pronouns``.
        templates: prompts with fields in braces, used in turn.
        words: what the fields are filled with.
        count: number of questions.
        seed: seed of the draws.
        partner: how corrupted partners are made, one of `partner_rules`; None for none. The questions do
            not depend on it.

    Raises:
        InputError: an unknown kind or rule, words that it lacks or that are no words, a count that no card
            needs, or fewer questions than asked for.
    """
    if not 1 <= count <= MOST_QUESTIONS or not templates:
        raise InputError(
            f"a generator has count {quoted(count)} and {len(templates)} templates, expected a count from "
            f"1 to {MOST_QUESTIONS} and at least one template"
        )
    if kind not in _KINDS:
        raise InputError(f"unknown generator {kind!r}; expected one of {', '.join(_KINDS)}")
    make, needs, rules = _KINDS[kind]
    if partner is not None and partner not in rules:
        raise InputError(
            f"generator {kind!r} makes no partners {quoted(partner)}; expected one of {', '.join(rules)}"
        )
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
        made = make(templates[at], words, draw, turn % 2 == 1)
        text = made.text()
        if text not in questions:
            name = f"{kind}/{len(questions)}"
            corrupted = () if partner is None else rules[partner](made, words)
            partners = tuple(made.text(changed) for changed in corrupted)
            questions[text] = Question(name, {"text": text}, made.options, 0, partners=partners)
    if len(questions) < count:
        raise InputError(
            f"the templates and words of generator {kind!r} make {len(questions)} different questions, "
            f"expected {count}; lower count or add words"
        )
    return list(questions.values())


def partner_rules(kind: str) -> tuple[str, ...]:
    """The names of the ways in which a kind of questions can be corrupted."""
    return tuple(_KINDS[kind][2]) if kind in _KINDS else ()


@dataclass(frozen=True)
class _Made:
    """A question as it was drawn: a template and its fields, and the two answers, the right one first.

    ``plural`` says, for agreement, whether the subject is.
    """

    template: str
    fields: Mapping[str, str]
    options: tuple[str, str]
    plural: bool = False

    def text(self, changed: Mapping[str, str] | None = None) -> str:
        return fill(self.template, {**self.fields, **(changed or {})}, "a generator")


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


def _ioi(template: str, words: Words, draw: _Draw, odd: bool) -> _Made:
    """Indirect object identification (Wang et al. 2022, arXiv 2211.00593).

    Two people are named, one acts, and the other is the answer. {first} and {second} are the two in
    either order, by turns, so that half of the questions read ABBA, half BABA; {giver} is the one who acts.
    """
    giver, receiver = draw.two(words["names"])
    first, second = (giver, receiver) if odd else (receiver, giver)
    fields = _others(template, words, draw, ["names"])
    named = {**fields, "first": first, "second": second, "giver": giver}
    return _Made(template, named, (f" {receiver}", f" {giver}"))


def _greater_than(template: str, words: Words, draw: _Draw, odd: bool) -> _Made:
    """A later year (after Hanna et al. 2023, arXiv 2305.00586), as a pair.

    From the year {century}{year} to the year {century}..: the right continuation is a two-digit year
    above {year}, the wrong one a two-digit year below it; both are drawn evenly.
    """
    year = draw.number(2, 98)
    later, earlier = draw.number(year + 1, 99), draw.number(1, year - 1)
    fields = _others(template, words, draw, ["century"])
    century = draw.one(words["century"])
    dated = {**fields, "century": century, "year": f"{year:02d}"}
    return _Made(template, dated, (f"{later:02d}", f"{earlier:02d}"))


def _agreement(template: str, words: Words, draw: _Draw, odd: bool) -> _Made:
    """Subject–verb agreement across an attractor (after Linzen et al. 2016, arXiv 1611.01368).

    {subject} and {attractor} are nouns given as [singular, plural], of opposite number; a verb is
    given as [singular, plural]. Subjects are singular and plural by turns.
    """
    plural = int(odd)
    subject, attractor = draw.two(words["nouns"])
    verb = draw.one(words["verbs"])
    fields = _others(template, words, draw, ["nouns", "verbs"])
    nouns = {"subject": subject[plural], "attractor": attractor[1 - plural]}
    return _Made(template, {**fields, **nouns}, (f" {verb[plural]}", f" {verb[1 - plural]}"), odd)


def _pronouns(template: str, words: Words, draw: _Draw, odd: bool) -> _Made:
    """Gendered pronouns (after Mathwin et al. 2023): a first name, then "he" or "she"."""
    right, wrong = ("he", "she") if odd else ("she", "he")
    fields = _others(template, words, draw, ["he", "she"])
    named = {**fields, "name": draw.one(words[right])}
    return _Made(template, named, (f" {right}", f" {wrong}"))


def _other_giver(made: _Made, words: Words) -> Iterator[dict[str, str]]:
    """The one who acts is the other one, so that the answers change places.

    It is ``s2_io_flip`` of MIB (arXiv 2504.13151), and has as many tokens in every tokenizer that cuts a
    name in the same way wherever it stands after a space.
    """
    yield {"giver": made.options[0].strip()}


def _three_names(made: _Made, words: Words) -> Iterator[dict[str, str]]:
    """Three other people: nobody is named twice (the ABC questions of Wang et al. 2022).

    Names are taken in turn from where the question's own stand, so that nothing is drawn.
    """
    own = {made.fields[k] for k in ("first", "second", "giver")}
    names = [name for name in dict.fromkeys(words["names"]) if name not in own]
    start = words["names"].index(made.fields["first"]) + words["names"].index(made.fields["second"])
    for i in range(len(names) if len(names) > 2 else 0):
        three = [names[(start + i + step) % len(names)] for step in (0, 1, 2)]
        yield dict(zip(("first", "second", "giver"), three, strict=True))


def _first_year(made: _Made, words: Words) -> Iterator[dict[str, str]]:
    """The start is year 01, after which every two-digit year is later (Hanna et al. 2023)."""
    yield {"year": "01"}


def _other_number(made: _Made, words: Words) -> Iterator[dict[str, str]]:
    """The subject is in the other number, else another subject in that number; the attractor stays."""
    now, then = int(made.plural), 1 - int(made.plural)
    nouns = list(words["nouns"])
    own = next(i for i, noun in enumerate(nouns) if noun[now] == made.fields["subject"])
    for noun in nouns[own:] + nouns[:own]:
        if noun[then] != made.fields["attractor"]:
            yield {"subject": noun[then]}


def _other_gender(made: _Made, words: Words) -> Iterator[dict[str, str]]:
    """The name goes with the other pronoun."""
    own, other = (option.strip() for option in made.options)
    start = words[own].index(made.fields["name"])
    for i in range(len(words[other])):
        yield {"name": words[other][(start + i) % len(words[other])]}


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


_Make = Callable[[str, Words, _Draw, bool], _Made]
_Corrupt = Callable[[_Made, Words], Iterator[dict[str, str]]]
_KINDS: dict[str, tuple[_Make, tuple[str, ...], dict[str, _Corrupt]]] = {
    "ioi": (_ioi, ("names",), {"other giver": _other_giver, "three names": _three_names}),
    "greater_than": (_greater_than, ("century",), {"year 01": _first_year}),
    "agreement": (_agreement, ("nouns", "verbs"), {"other number": _other_number}),
    "pronouns": (_pronouns, ("he", "she"), {"other gender": _other_gender}),
}
