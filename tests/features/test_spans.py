"""Cutting texts into spans."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spex_mech import features
from spex_mech.core.errors import InputError
from spex_mech.features.spans import Span, check_spans, span_names, split_text

TEXT = (
    'Dr. Smith came at 3.15 p.m. on Monday. "Is it late?" she asked! J. Newton (cf. fig. 2) was '
    "right... or not?\nA heading\n\nNew paragraph here.  It has two sentences.\n \n他来了。真的吗？Yes."
)


def parts(text: str, level: str) -> list[str]:
    return [text[s.start : s.stop] for s in split_text(text, level)]


def test_sentences_by_hand():
    assert parts(TEXT, "sentence") == [
        "Dr. Smith came at 3.15 p.m. on Monday.",
        '"Is it late?"',
        "she asked!",
        "J. Newton (cf. fig. 2) was right... or not?",
        "A heading",
        "New paragraph here.",
        "It has two sentences.",
        "他来了。",
        "真的吗？",
        "Yes.",
    ]


def test_paragraphs_by_hand():
    found = parts(TEXT, "paragraph")
    assert found[0].startswith("Dr. Smith") and found[0].endswith("A heading")
    assert found[1:] == ["New paragraph here.  It has two sentences.", "他来了。真的吗？Yes."]


@given(st.text(alphabet="ab .!?\n\t\"'é。", min_size=1, max_size=60), st.sampled_from("wsp"))
def test_spans_hold_all_but_white_space(text, letter):
    level = {"w": "word", "s": "sentence", "p": "paragraph"}[letter]
    if not text.strip():
        with pytest.raises(InputError, match="no word"):
            split_text(text, level)
        return
    spans = split_text(text, level)
    assert spans == check_spans(text, spans)
    rest = "".join(
        text[a:b]
        for a, b in zip(
            [0, *(s.stop for s in spans)], [*(s.start for s in spans), len(text)], strict=True
        )
    )
    assert not rest.strip()
    assert all(text[s.start : s.stop].strip() == text[s.start : s.stop] for s in spans)
    if level == "word":
        assert parts(text, level) == text.split()


@given(st.lists(st.sampled_from(["a", "b", "a #2", "b'", "c" * 40]), min_size=1, max_size=9))
def test_names_are_distinct(words):
    text = " ".join(words)
    spans = [Span(m.start(), m.end()) for m in re.finditer(r"\S+", text)]
    names = span_names(text, spans)
    assert len(set(names)) == len(names) == len(spans)
    assert all(len(name) <= 28 + 8 for name in names)


def test_find_spans_takes_whole_words():
    found = features.find_spans("cat category, the cat's Cat", ["cat", "the"])
    assert found == [Span(0, 3), Span(14, 17), Span(18, 21)]
    with pytest.raises(InputError, match="'dog' is not in the text"):
        features.find_spans("cat", ["dog"])


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([], "there are no spans"),
        ([(0, 2), (1, 3)], r"\(0, 2\) and \(1, 3\) overlap"),
        ([(0, 9)], "runs out of the text, which has 4 characters"),
        ([(2, 2)], "runs out"),
        ([(-1, 2)], "runs out"),
        ([(1, 2)], "holds only white space"),
        ([(0.0, 2)], "not a pair of whole numbers"),
        ([(0, 1, 2)], "not a pair"),
    ],
)
def test_bad_spans(spans, message):
    with pytest.raises(InputError, match=message):
        check_spans("a bc", spans)


def test_unknown_level():
    with pytest.raises(InputError, match="level is 'line', expected one of token, word"):
        split_text("a", "line")
