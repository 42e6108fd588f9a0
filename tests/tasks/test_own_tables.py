"""A table of questions as a task, without a card: as if it had the card that says the same."""

from __future__ import annotations

import json

import pytest

import spex_mech as sm
from spex_mech.core.errors import InputError, MissingFileError

ROWS = [
    {
        "question": f"Which is {i}?",
        "A": f"one {i}",
        "B": f"two {i}",
        "C": f"three {i}",
        "answer": "ABC"[i % 3],
    }
    for i in range(30)
]
CARD = """
version = 1
description = "the same"
data = "mine.csv"
template = {template}
metric = "{metric}"
{more}
"""


@pytest.fixture
def table(tmp_path):
    lines = ["question,A,B,C,answer", *(",".join(row.values()) for row in ROWS)]
    (tmp_path / "mine.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "mine.csv"


@pytest.mark.parametrize(
    ("form", "template", "metric", "more"),
    [
        (None, "{passage}Question: {question}\nAnswer:", "margin_norm", 'form = "continuations"'),
        (
            "letters",
            "{passage}{question}\nA. {A}\nB. {B}\nC. {C}\nAnswer:",
            "margin",
            'options = ["A", "B", "C"]',
        ),
    ],
)
def test_a_table_is_asked_as_the_card_that_says_the_same(table, form, template, metric, more):
    card = table.parent / "card.toml"
    card.write_text(CARD.format(template=json.dumps(template), metric=metric, more=more))
    task, same = sm.load_task(table, form=form), sm.load_task(card)
    assert task.examples == same.examples and len(task.examples) == 30
    assert (task.metric, task.scorer) == (same.metric, same.scorer) and task.metric == metric
    assert {x.split for x in task.examples} == {"search", "validation", "test"}


def test_jsonl_rows_with_choices_and_texts_alone(tmp_path):
    rows = [{"question": "?", "choices": ["x", "y"], "answer": 1, "split": "test"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (example,) = sm.load_task(tmp_path / "a.jsonl").examples
    assert example.prompt == "Question: ?\nAnswer:" and example.split == "test"
    (tmp_path / "b.csv").write_text("text\nA sentence.\nAnother one.\n")
    assert sm.load_task(tmp_path / "b.csv").metric == "logprob"


@pytest.mark.parametrize(
    ("content", "form", "message"),
    [
        ("question,A,B,answer\n", None, "has no rows; expected a question in each"),
        ("", None, "has no rows"),
        ("question,answer\nwhy,0\n", None, r"row 1 .*lacks choices \(or columns A, B"),
        (
            "question,answer\nwhy,0\n",
            "letters",
            "has no columns A, B, ..., which the form 'letters'",
        ),
        ("frage,A,B,answer\nwarum,x,y,A\n", None, "has no 'question'; its columns are frage"),
    ],
)
def test_what_cannot_be_asked_is_refused(tmp_path, content, form, message):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        sm.load_task(tmp_path / "a.csv", form=form)
    with pytest.raises(
        MissingFileError, match="does not exist; give a file with the columns question"
    ):
        sm.load_task(tmp_path / "none.csv")
