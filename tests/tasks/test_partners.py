"""Partners of counterfactual ablation: how cards make them, and which a tokenizer takes."""

from __future__ import annotations

import json
import re

import pytest

import spex_mech as sm
from spex_mech.tasks.cards import cards
from spex_mech.tasks.partners import others, paired_only, reordered, with_partner_tokens
from spex_mech.tasks.prompts import encode
from spex_mech.tasks.questions import Question
from spex_mech.tasks.task import Example, Turn
from tests.shared.word_tokenizer import WORDS, ids, task, words


def paired(some, split="search"):
    tokenizer = words()
    return with_partner_tokens(encode(some, split, tokenizer, 64), some, split, tokenizer)


def test_ioi_partners_flip_the_answer_or_name_three_people():
    for x in sm.load_task("circuits/ioi").examples:
        (partner,) = x.partners
        receiver, giver = (option.strip() for option in x.options)
        assert partner.prompt.count(receiver) == 2 and partner.prompt.count(giver) == 1
        differ = [a != b for a, b in zip(x.prompt.split(), partner.prompt.split(), strict=True)]
        assert sum(differ) == 1
    for x in sm.load_task("circuits/ioi", partner="three names").examples:
        own = {option.strip() for option in x.options}
        for partner in x.partners:
            first, second = re.search(r"(\w+) and (\w+)", partner.prompt).groups()
            giver = [
                a
                for a, b in zip(partner.prompt.split(), x.prompt.split(), strict=True)
                if a.strip(",") != b.strip(",")
            ][-1]
            assert len({first, second, giver} | own) == 5


def test_partners_of_the_other_generators():
    for x in sm.load_task("circuits/greater_than").examples:
        assert [p.prompt for p in x.partners] == [
            re.sub(r"(\d\d)\d\d", r"\g<1>01", x.prompt, count=1)
        ]
    agreement = sm.load_task("circuits/agreement")
    for x in agreement.examples:
        assert len(x.partners) >= 13
        for partner in x.partners:
            changed = [
                (a, b)
                for a, b in zip(x.prompt.split(), partner.prompt.split(), strict=True)
                if a != b
            ]
            assert len(changed) == 1
        own, other = changed_words(x.prompt, x.partners[0].prompt)
        assert other in (own + "s", own.removesuffix("s"))
    for x in sm.load_task("circuits/pronouns").examples:
        assert len(x.partners) == 10 and x.partners[0].prompt != x.prompt


def changed_words(a: str, b: str) -> tuple[str, str]:
    return next((x, y) for x, y in zip(a.split(), b.split(), strict=True) if x != y)


def test_partners_leave_the_questions_as_they_were():
    plain = sm.load_task("circuits/ioi", partner="another")
    assert plain == sm.load_task("circuits/ioi")
    assert [x.split for x in plain.examples] == [
        x.split for x in sm.load_task("circuits/ioi").examples
    ]


def test_every_card_with_questions_has_a_rule():
    for card in cards():
        if card.kind != "game":
            assert card.values.get("partner"), card.name


def test_reordered_choices_leave_no_choice_at_its_letter():
    fields = {"question": "q", "A": "w", "B": "x", "C": "y", "D": "z"}
    turned = reordered(Question("q", fields, ("A", "B", "C", "D"), 1))
    assert [[f[x] for x in "ABCD"] for f in turned] == [list("xyzw"), list("yzwx"), list("zwxy")]
    assert reordered(Question("q", {"text": "t"}, ("a", "b"), 0)) == []


def test_other_questions_are_of_the_same_split_and_alike_in_length():
    examples = [
        Example(f"q{i}", " ".join("abcdefgh"[: 1 + i % 4]), 0, ("x", "y"), split)
        for i, split in enumerate(("search", "test") * 12)
    ]
    for x in others(examples):
        assert {p.split for p in x.partners} == {x.split} and x.id not in {p.id for p in x.partners}
        counts = [abs(len(p.prompt) - len(x.prompt)) for p in x.partners]
        assert counts == sorted(counts) and len(counts) == 11
    assert [x.partners for x in others(examples)] == [
        x.partners for x in sorted(others(examples[::-1]), key=lambda x: int(x.id[1:]))
    ]


def test_the_first_candidate_of_equal_length_is_taken():
    question = Example("q", "a b c", 0, (" d", " e"), "search")
    some = task(question, form="pairs").with_partners({"q": ["f g", "a b c", "h i j", "k l m"]})
    assert paired(some).partners == (ids("<s> h i j"),)
    assert paired(task(question, form="pairs").with_partners(["f g h"])).partners == (
        ids("<s> f g h"),
    )


def test_continuations_keep_what_is_scored():
    question = Example("q", "a b c", 1, ("d", "e f g", "h"), "search")
    some = task(question, form="continuations").with_partners({"q": ["i j", "k l m"]})
    assert paired(some).partners == tuple(
        ids(f"<s> k l m {option}") for option in ("d", "e f g", "h")
    )


def test_contexts_are_those_of_the_other_question():
    first = Example("q0", "a _ c", 1, ("c d", "c d"), "search", contexts=("a x", "a y y"))
    second = Example("q1", "e _ c", 0, ("f f", "f f"), "search", contexts=("e z", "e g g"))
    some = task(*others([first, second]), form="continuations")
    assert paired(some).partners == tuple(
        ids("<s> " + t) for t in ("e z c d", "e g g c d", "a x f f", "a y y f f")
    )


def test_whole_sentences_are_replaced():
    pairs = [("a b c", "a b d"), ("e f", "e g"), ("h i j", "h i k")]
    some = task(
        *others([Example(f"q{i}", "", 0, p, "search") for i, p in enumerate(pairs)]),
        form="continuations",
    )
    with pytest.raises(
        ValueError, match=r"1 of 3 search questions .*'q1': it has \[3, 3\] tokens, its 2 candid"
    ):
        paired(some)
    left = paired_only(some, words())
    assert [x.id for x in left.examples] == ["q0", "q2"]
    assert paired(left).partners == tuple(ids("<s> " + t) for t in (*pairs[2], *pairs[0]))


def test_chats_keep_their_shots():
    turns = (Turn("system", "x"), Turn("user", "a b"))
    changed = (Turn("system", "x"), Turn("user", "c d"))
    partner = Example("q", "xc d", 0, (" e", " f"), "search", turns=changed)
    question = Example("q", "xa b", 0, (" e", " f"), "search", turns=turns, partners=(partner,))
    chat = task(question, form="pairs", chat="turns")
    prompts = paired(chat)
    own, other = ([WORDS[i] for i in row] for row in (prompts.tokens[0], prompts.partners[0]))
    assert len(own) > 4
    differ = [(a, b) for a, b in zip(own, other, strict=True) if a != b]
    assert differ == [("a", "c"), ("b", "d")]


def test_refusals():
    question = Example("q", "a b c", 0, (" d", " e"), "search")
    with pytest.raises(ValueError, match=r"1 of 1 search questions of 't' .*'q': it has no cand"):
        paired(task(question, form="pairs"))
    with pytest.raises(ValueError, match=r"'q': it has 4 tokens, its 2 candidates 3, 5; leave"):
        paired(task(question, form="pairs").with_partners({"q": ["a b", "a b c d"]}))
    with pytest.raises(ValueError, match="no question of 't' has a corrupted partner"):
        paired_only(task(question, form="pairs"), words())
    with pytest.raises(ValueError, match=r"task 't' has no examples \['r'\]"):
        task(question).with_partners({"r": "a"})
    with pytest.raises(ValueError, match="got partners for 2 questions, task 't' has 1"):
        task(question).with_partners(["a", "b"])
    with pytest.raises(ValueError, match=r"the partner of 'q' is \(3,\), expected text"):
        task(question).with_partners({"q": [3]})
    with pytest.raises(
        ValueError, match="'circuits/ioi' has no partners 'abc'; expected one of other giver, three"
    ):
        sm.load_task("circuits/ioi", partner="abc")


def test_rows_of_ones_own_name_their_partners(tmp_path):
    rows = [
        {"question": "a b", "choices": ["c", "d"], "answer": 0, "partner": "e f"},
        {"question": "g h", "choices": ["c", "d"], "answer": 1, "partner": ["i", "j k"]},
        {"question": "l m", "choices": ["c", "d"], "answer": 1},
    ]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
    card = 'version = 1\ndescription = "d"\ndata = "own.jsonl"\ntemplate = "{question}:"\n'
    card += 'form = "pairs"\nmetric = "margin"\n'
    (tmp_path / "own.toml").write_text(card)
    own = sm.load_task(tmp_path / "own")
    assert [[p.prompt for p in x.partners] for x in own.examples] == [["e f"], ["i", "j k"], []]
    with pytest.raises(ValueError, match=r"own\.jsonl, row 1 has partner 3, expected a text or"):
        (tmp_path / "own.jsonl").write_text(json.dumps({**rows[0], "partner": 3}))
        sm.load_task(tmp_path / "own")
    (tmp_path / "own.toml").write_text(card + 'partner = "swapped"\n')
    with pytest.raises(ValueError, match="no partners 'swapped'; expected one of options, another"):
        sm.load_task(tmp_path / "own")
