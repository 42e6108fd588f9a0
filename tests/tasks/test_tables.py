"""Tables that people make: empty cells, gaps, nulls, numbers, line ends inside texts, blank last lines."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import spex_mech as sm
from spex_mech.core.errors import InputError
from spex_mech.tasks.layouts import read_questions
from spex_mech.tasks.tables import TableRow, read_table

CARD = r"""
version = 1
description = "a test"
data = "rows.csv"
template = "{passage}{question}"
form = "continuations"
metric = "margin"
"""
HEADER = "question,A,B,C,D,E,answer\n"


def load(folder, text: str, *, name: str = "rows.csv", card: str = CARD):
    (folder / "card.toml").write_text(card)
    (folder / name).write_text(text, encoding="utf-8")
    return sm.load_task(folder / "card.toml", data=folder / name)


def chosen(example) -> str:
    return example.options[example.answer]


def test_a_letter_names_its_column_whatever_is_empty_before_it(tmp_path):
    (example,) = load(tmp_path, HEADER + "Q,Five,,One,Three,,C\n").examples
    assert example.options == ("Five", "One", "Three")
    assert chosen(example) == "One"


def test_columns_without_a_choice_at_the_end(tmp_path):
    task = load(tmp_path, HEADER + "Q,a,b,,,,B\nQ2,a,b,c,d,e,4\nQ3,a,b,c,,,2\n")
    assert [len(x.options) for x in task.examples] == [2, 5, 3]
    assert [chosen(x) for x in task.examples] == ["b", "e", "c"]


def test_the_template_shows_each_column_under_its_letter(tmp_path):
    card = CARD.replace("{question}", "{question} A{A} B{B} C{C} D{D}")
    (example,) = load(tmp_path, HEADER + "Q,Five,,One,Three,,C\n", card=card).examples
    assert example.prompt == "Q AFive B COne DThree"
    row = {"question": "Q", "A": "Five", "B": None, "C": "One", "D": "Three", "answer": "C"}
    (same,) = load(tmp_path, json.dumps(row), name="rows.jsonl", card=card).examples
    assert (same.prompt, same.options) == (example.prompt, example.options)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("Q,Five,,One,Three,,2", "nothing in column B but a choice after it, and answer '2'; move"),
        ("Q,Five,,One,Three,,B", "has answer 'B', but nothing in column B"),
        ("Q,Five,Six,One,,,D", "has answer 'D', but nothing in column D"),
        ("Q,,,,,,A", "has answer 'A', but nothing in column A"),
        ("Q,Five,Six,,,,F", "has 2 choices and answer 'F'; expected an answer from 0 to 1"),
        ("Q,Five,Six,,,,", "has 2 choices and answer ''"),
    ],
)
def test_gaps_that_the_answer_needs_are_refused(tmp_path, row, message):
    with pytest.raises(ValueError, match=rf"rows\.csv, row 2 \(line 3\) .*{message}"):
        load(tmp_path, HEADER + "Q,a,b,,,,B\n" + row + "\n")


def test_gaps_are_refused_where_the_model_answers_with_letters(tmp_path):
    card = CARD.replace("continuations", "letters") + 'options = ["A", "B", "C"]\n'
    with pytest.raises(ValueError, match=r"row 1 .* nothing in column B but a choice after it"):
        load(tmp_path, HEADER + "Q,Five,,One,Three,,C\n", card=card)
    (example,) = load(tmp_path, HEADER + "Q,Five,One,Three,,,C\n", card=card).examples
    assert (example.options, example.answer) == (("A", "B", "C"), 2)


def test_a_letter_that_is_no_choice_is_refused(tmp_path):
    header = "question,A,B,N,answer\n"
    with pytest.raises(ValueError, match=r"choices in columns A, B, N; expected A, B, \.\.\. with"):
        load(tmp_path, header + "Q,a,b,12,B\n")


@pytest.mark.parametrize("ending", ["", "\n", "\n\n", "\n \n", "\r\n\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_blank_last_lines_and_marks(tmp_path, ending, mark):
    row = json.dumps({"question": "Q", "choices": ["a", "b"], "answer": 1})
    lines = load(tmp_path, mark + row + "\n" + row + ending, name="rows.jsonl")
    cells = load(tmp_path, mark + HEADER + "Q,a,b,,,,B\nQ,a,b,,,,B" + ending)
    assert [x.options for x in lines.examples] == [x.options for x in cells.examples]
    assert len(lines.examples) == 2


def test_empty_rows_of_a_spreadsheet(tmp_path):
    assert len(load(tmp_path, HEADER + "Q,a,b,,,,B\n,,,,,,\n,,,,,,\n").examples) == 1
    with pytest.raises(ValueError, match=r"row 1 \(line 2\) has 0 columns, expected 7"):
        load(tmp_path, HEADER + "\nQ,a,b,,,,B\n")
    with pytest.raises(ValueError, match=r"rows\.jsonl, row 1 is not JSON"):
        load(tmp_path, '\n{"question": 1}', name="rows.jsonl")


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_characters_that_end_no_line(tmp_path, odd):
    text = f"One{odd}two?"
    row = json.dumps({"question": text, "choices": ["a", "b"], "answer": 1}, ensure_ascii=False)
    assert load(tmp_path, row, name="rows.jsonl").examples[0].prompt == text
    assert load(tmp_path, HEADER + f"{text},a,b,,,,B\n").examples[0].prompt == text


def test_cells_of_csv_are_texts(tmp_path):
    row = 'Q,12,1.0,None,nan,"NA, or ""0""",E\n'
    (example,) = load(tmp_path, HEADER + row).examples
    assert example.options == ("12", "1.0", "None", "nan", 'NA, or "0"')


@pytest.mark.parametrize(
    ("choices", "expected"), [(["", "x"], ("", "x")), (["0", " "], ("0", " "))]
)
def test_texts_in_a_list_stay_what_they_are(tmp_path, choices, expected):
    row = json.dumps({"question": "", "choices": choices, "answer": "A"})
    (example,) = load(tmp_path, row, name="rows.jsonl").examples
    assert (example.options, example.answer, example.prompt) == (expected, 0, "")


@pytest.mark.parametrize("wrong", [None, 3, 0, 1.5, True, ["a"]])
def test_what_is_no_text_is_refused_by_row(tmp_path, wrong):
    rows = [
        {"question": "Q", "choices": ["a", wrong], "answer": 0},
        {"question": wrong, "choices": ["a", "b"], "answer": 0},
    ]
    if wrong is not None:
        rows += [
            {"question": "Q", "A": "a", "B": wrong, "answer": "A"},
            {"question": "Q", "A": "a", "B": "b", "answer": "A", "passage": wrong},
            {"question": "Q", "A": "a", "B": "b", "answer": "A", "id": wrong},
        ]
    for row in rows:
        with pytest.raises(ValueError, match=r"rows\.jsonl, row 1 has .*expected .*text"):
            load(tmp_path, json.dumps(row), name="rows.jsonl")


def test_empty_cells_of_other_columns_are_as_if_the_column_were_not_there(tmp_path):
    header = "id,split,passage,hint,question,A,B,answer\n"
    card = CARD.replace("{question}", "{hint}{question}")
    task = load(tmp_path, header + ",,,,Q1,a,b,A\nmine,,P,H,Q2,a,b,B\n", card=card)
    assert [x.id for x in task.examples] == ["rows/0", "mine"]
    assert [x.prompt for x in task.examples] == ["Q1", "P\nHQ2"]
    table = pa.table(
        {
            "id": [None, "mine"],
            "passage": [None, "P"],
            "hint": [None, "H"],
            "question": ["Q1", "Q2"],
            "choices": [["a", "b"]] * 2,
            "answer": [0, 1],
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    same = sm.load_task(tmp_path / "card.toml", data=tmp_path / "rows.parquet")
    assert [(x.id, x.prompt, x.answer) for x in same.examples] == [
        (x.id, x.prompt, x.answer) for x in task.examples
    ]


def test_a_split_for_some_rows_only_is_refused(tmp_path):
    header = "split,question,A,B,answer\n"
    rows = "search,Q1,a,b,A\ntest,Q2,a,b,A\n,Q3,a,b,B\n"
    with pytest.raises(ValueError, match=r"row 3 \(line 4\) has no split, but other rows have one"):
        load(tmp_path, header + rows)


def test_a_field_that_one_row_lacks_is_named_with_the_question(tmp_path):
    rows = [{"id": f"q{i}", "question": "Q", "choices": ["a"], "answer": 0} for i in range(2)]
    rows[0]["hint"] = "H"
    card = CARD.replace("{question}", "{hint}{question}")
    with pytest.raises(ValueError, match="template of task 'card' at question 'q1' cannot be fill"):
        load(tmp_path, "\n".join(map(json.dumps, rows)), name="rows.jsonl", card=card)


def test_columns_of_the_same_name_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"rows\.csv has two columns 'A'; rename one"):
        load(tmp_path, "question,A,A,answer\nQ,a,b,A\n")


def test_an_empty_choice_of_a_published_file_keeps_its_letter(tmp_path):
    (tmp_path / "test.csv").write_text("Q,Five,,One,Three,C\n")
    columns = ("question", "A", "B", "C", "D", "answer")
    rows = read_table(tmp_path / "test.csv", columns)
    (question,) = read_questions(rows, "mmlu", "x", ("A", "B", "C", "D"))
    assert question.answer == 2 and question.fields["C"] == "One" and question.fields["B"] == ""
    with pytest.raises(InputError, match=r"here has choices .*expected a list of texts"):
        row = TableRow("here", {"question": "Q", "choices": ["a", None], "answer": 0})
        read_questions([row], "mmlu", "x")


def test_a_broken_csv_is_named_by_row(tmp_path):
    with pytest.raises(ValueError, match=r"row 2 \(line 3\) cannot be read"):
        load(tmp_path, HEADER + 'Q,a,b,,,,B\nQ,"a"x,b,,,,B\n')
