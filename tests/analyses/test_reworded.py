"""Statements whose words are replaced, on rules whose interaction is known by construction."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.extend(
    str(Path(__file__).parents[2] / "analyses" / name)
    for name in (".", "negation", "trolley", "long_text", "feature_attribution")
)
import dilemmas
import reworded
import reworded_table
import statements
import text_figures
import texts

SYNONYMS = {"pull": "tug", "lever": "handle", "five": "5", "people": "persons"}


def needs_both(given):
    """False (below 0) while "pull" and "lever" are both there."""
    return [1.0 - 2.0 * ("pull" in t and "lever" in t) + 0.01 * len(t.split()) for t in given]


def test_the_interaction_is_found_and_its_synonyms_change_the_answer():
    item = reworded.Item("rule", "so pull the lever for five people", True, ("pull", "lever"))
    row = reworded.measure(needs_both, item, SYNONYMS, masks=16)
    assert row["masks"] == 16 and row["together"] == "pull x lever" and row["named"] == 1
    assert row["named by chance"] == pytest.approx(1 / 6, abs=0.05)
    assert row["interaction"] == pytest.approx(-2.0, abs=1e-6)
    assert row["order 1"] == pytest.approx(2 / 3, abs=0.02) and row["order 3+"] < 1e-6
    strings = {k: str(v) for k, v in row.items()}
    changed = {k: reworded_table.effects([strings], "rule", k)[0] for k in reworded_table.REPLACED}
    assert changed == {"one": [1.0], "all": [1.0], "others": [0.0]}


def test_every_statement_has_words_with_synonyms_and_its_named_words_among_them():
    made = statements.statements() + dilemmas.dilemmas()
    assert len({item.text for item in made}) == len(made) == 92
    for item in made:
        synonyms = statements.SYNONYMS if item.kind in statements.FORMS else dilemmas.SYNONYMS
        words = {word.strip(".,") for word in item.text.split()}
        assert set(item.named) <= words & set(synonyms)
        assert not any(synonyms[word] == word for word in words & set(synonyms))
    doubled = [item.right for item in statements.statements() if len(item.named) == 2]
    assert doubled == [True, False] * 24
    single = [item.right for item in statements.statements() if item.named == ("not",)]
    assert single == [False, True] * 8


def test_the_two_statements_of_a_fact_are_resampled_together():
    pairs = [{"right": str(i % 2 == 0)} for i in range(6)]
    np.testing.assert_array_equal(reworded_table.facts(pairs, [1, 3, 0, 0, 2, 5]), [2.0, 0.0, 3.5])
    alike = [{"right": "True"}] * 4
    np.testing.assert_array_equal(reworded_table.facts(alike, [1, 3, 0, 0]), [1, 3, 0, 0])


def test_texts_have_the_words_that_were_asked_for():
    for kind, words in (("review", 30), ("prose", 30), ("prose", 414)):
        assert len(texts.text_of(kind, words, 1).split()) == words
    assert texts.text_of("prose", 3, 1) == "Call me Ishmael."
    with pytest.raises(ValueError, match="words is 415, but the prose has 414"):
        texts.text_of("prose", 415, 0)


def test_methods_are_compared_on_the_same_texts_with_students_interval():
    rows = [
        {
            "model": "m",
            "kind": kind,
            "n": "16",
            "seed": "0",
            "method": method,
            "R2": r2,
            "masks": "64",
        }
        for kind, method, r2 in (
            ("review", "auto", "0.9"),
            ("prose", "auto", "0.7"),
            ("review", "lime", "0.6"),
            ("prose", "lime", "0.6"),
            ("review", "spex", "0.4"),
        )
    ]
    # Student's t of one degree of freedom, and a standard error of half the distance of two values.
    assert text_figures.half_width([0.9, 0.7]) == pytest.approx(12.706 * 0.1, abs=1e-3)
    found = cells_of(text_figures.differences(rows))[-1]
    assert found["auto minus LIME"] == "+0.20 [-1.07, +1.47]"
    assert found["auto minus SPEX"] == "+0.50" and found["auto minus LASSO"] == ""
    assert "| m, prose | 16 | 1 | 64 |" in text_figures.table(rows)
    longer = [
        {**row, "n": n, "R2": r2} for row in rows[::2] for n, r2 in (("64", "0.5"), ("128", "0.4"))
    ]
    *_, short, long = cells_of(text_figures.differences(rows + longer))
    assert (short["words"], short["auto minus LIME"]) == ("below 64", "+0.20 [-1.07, +1.47]")
    assert (long["words"], long["texts"], long["auto minus LIME"]) == (
        "64 or more",
        "2",
        "+0.00 [+0.00, +0.00]",
    )


def cells_of(table: str) -> list[dict[str, str]]:
    """The rows of a table by the names of its columns."""
    names, _, *lines = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()
    )
    return [dict(zip(names, line, strict=True)) for line in lines]
