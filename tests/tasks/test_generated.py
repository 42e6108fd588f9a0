"""Generated tasks: what the templates promise, and that a seed decides everything."""

from __future__ import annotations

import re
from collections import Counter

import pytest

import spex_mech as sm
from spex_mech.tasks.cards import load_card
from spex_mech.tasks.generated import generate


@pytest.mark.parametrize("name", ["ioi", "greater_than", "agreement", "pronouns"])
def test_generated_cards(name):
    task = sm.load_task(f"circuits/{name}")
    card = load_card(f"circuits/{name}")
    assert len(task.examples) == card.values["count"] == len({x.prompt for x in task.examples})
    assert {len(x.options) for x in task.examples} == {2}
    assert {x.answer for x in task.examples} == {0}
    assert task.form == "pairs" and task.chance == 0.5
    assert task == sm.load_task(f"circuits/{name}")
    assert [len(task.select(s)) for s in ("search", "validation", "test")] == [200, 40, 160]


def test_ioi_names_the_one_who_does_not_act():
    orders = Counter()
    for x in sm.load_task("circuits/ioi").examples:
        receiver, giver = (option.strip() for option in x.options)
        assert receiver != giver
        first, second = re.search(r"(\w+) and (\w+)", x.prompt).groups()
        assert {first, second} == {receiver, giver}
        assert x.prompt.count(giver) == 2 and x.prompt.count(receiver) == 1
        template = next(t for t in ("Then", "When", "After", "While") if x.prompt.startswith(t))
        orders[template, first == giver] += 1
    assert set(orders.values()) == {50}  # four templates, either order


def test_greater_than_has_a_later_and_an_earlier_year():
    for x in sm.load_task("circuits/greater_than").examples:
        century, year, again = re.search(
            r"year (\d\d)(\d\d) to the year (\d\d)$", x.prompt
        ).groups()
        later, earlier = x.options
        assert century == again and len(later) == len(earlier) == 2
        assert earlier < year < later


def test_agreement_follows_the_subject_and_not_the_attractor():
    words = load_card("circuits/agreement").values["words"]
    number = {form: n for noun in words["nouns"] for n, form in enumerate(noun)}
    verbs = {f" {form}": n for verb in words["verbs"] for n, form in enumerate(verb)}
    seen = Counter()
    for x in sm.load_task("circuits/agreement").examples:
        nouns = [number[w] for w in x.prompt.split() if w in number]
        assert len(nouns) == 2 and nouns[0] != nouns[1]
        assert [verbs[o] for o in x.options] == nouns
        seen[nouns[0]] += 1
    assert set(seen.values()) == {200}


def test_pronouns_go_with_the_names():
    words = load_card("circuits/pronouns").values["words"]
    for x in sm.load_task("circuits/pronouns").examples:
        (name,) = (w for w in x.prompt.split() if w in words["he"] + words["she"])
        assert name in words[x.options[0].strip()]


def test_the_seed_decides():
    words = {"names": ["Ann", "Eve", "Bob", "Tom"], "place": ["shop", "farm"]}
    templates = ["{first} and {second} left the {place}. {giver} thanked"]
    draws = [generate("ioi", templates, words, count=8, seed=s) for s in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_bad_generators():
    with pytest.raises(ValueError, match="unknown generator 'iou'; expected one of ioi, "):
        generate("iou", ["x"], {}, count=1, seed=0)
    with pytest.raises(ValueError, match=r"'agreement' lacks words \['verbs'\]"):
        generate("agreement", ["x"], {"nouns": [["a", "b"]]}, count=1, seed=0)
    with pytest.raises(ValueError, match="make 4 different questions, expected 5; lower count"):
        generate("ioi", ["{first} {second} {giver}"], {"names": ["A", "B"]}, count=5, seed=0)
    with pytest.raises(ValueError, match="no shots; leave shots= out"):
        sm.load_task("circuits/ioi", shots=1)
