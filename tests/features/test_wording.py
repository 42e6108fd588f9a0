"""Texts in parts: what is left out, what stands in its place, and which replacement is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spex_mech.core.errors import InputError
from spex_mech.features.game import choose
from spex_mech.features.options import Removal
from spex_mech.features.spans import Span, split_text
from spex_mech.features.wording import stand_ins, wording_of


def compose(text, spans, mask, choices=None, **around):
    choices = choices or [("",)] * len(spans)
    return wording_of(text, spans, choices, **around).compose(1 - np.array(mask))


def test_white_space_goes_with_the_part_behind_it():
    text = "One. Two.\n\nThree."
    spans = split_text(text, "sentence")
    around = {"before": "Q: ", "after": "\nA:"}
    assert compose(text, spans, [1, 1, 1], **around) == "Q: One. Two.\n\nThree.\nA:"
    assert compose(text, spans, [0, 1, 1], **around) == "Q: Two.\n\nThree.\nA:"
    assert compose(text, spans, [1, 0, 1], **around) == "Q: One.\n\nThree.\nA:"
    assert compose(text, spans, [1, 1, 0], **around) == "Q: One. Two.\nA:"
    assert compose(text, spans, [0, 0, 0], **around) == "Q: \nA:"


def test_what_is_in_no_span_stays():
    text = "the old cat sat, then the old dog"
    spans = [Span(4, 7), Span(26, 29)]
    assert compose(text, spans, [0, 0]) == "the cat sat, then the dog"
    assert (
        compose(text, spans, [0, 1], [("young",), ("new",)])
        == "the young cat sat, then the old dog"
    )


@given(
    st.text(alphabet="ab. \n", min_size=1, max_size=40).filter(str.strip),
    st.sampled_from(["word", "sentence", "paragraph"]),
)
def test_the_whole_text_is_the_text(text, level):
    spans = split_text(text, level)
    assert compose(text, spans, [1] * len(spans), before="<", after=">") == f"<{text}>"


@given(st.integers(2, 70), st.integers(0, 2**40), st.integers(0, 5))
def test_a_choice_depends_on_seed_and_mask_alone(n, seed, drawn):
    rng = np.random.default_rng(drawn)
    masks, counts = rng.random((8, n)) < 0.5, rng.integers(1, 4, n)
    found = choose(masks, counts, seed)
    assert ((found == 0) == masks).all() and (found <= counts).all()
    order = rng.permutation(8)
    np.testing.assert_array_equal(choose(masks[order], counts, seed), found[order])
    np.testing.assert_array_equal(choose(masks[3:4], counts, seed), found[3:4])


def test_choices_are_even_and_independent():
    masks = np.random.default_rng(0).random((4000, 12)) < 0.5
    masks[:, :2] = False
    found = choose(masks, np.full(12, 3), seed=1)
    for player in (0, 1):
        share = np.bincount(found[:, player], minlength=4)[1:] / 4000
        np.testing.assert_allclose(share, 1 / 3, atol=0.03)
    joint = np.mean(found[:, 0] == found[:, 1])
    assert abs(joint - 1 / 3) < 0.03
    other = choose(masks, np.full(12, 3), seed=2)
    assert abs(np.mean(found[:, 0] == other[:, 0]) - 1 / 3) < 0.03


def test_replacements_by_text_number_or_place():
    parts = ["Big", "dog", "big"]
    by_text = stand_ins(Removal(replacements={"big": ["large", "huge"], "dog": "cat"}), parts)
    assert by_text.texts == (("large", "huge"), ("cat",), ("large", "huge"))
    by_number = stand_ins(Removal("replace", replacements={0: "a", 1: "b", 2: "c"}), parts)
    assert by_number.texts == stand_ins(Removal(replacements=["a", "b", "c"]), parts).texts


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("drop", None, "removal is 'drop', expected one of delete, mask"),
        ("replace", None, "which needs replacements"),
        ("delete", {"a": "b"}, "but there are replacements"),
        (None, {"a": "b"}, r"1 of 2 parts have no replacement \('c'\)"),
        (None, {"a": "b", "c": [3]}, "expected texts"),
    ],
)
def test_bad_removals(kind, given, message):
    with pytest.raises(InputError, match=message):
        stand_ins(Removal(kind, replacements=given), ["a", "c"])
