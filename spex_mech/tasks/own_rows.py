"""Rows of one's own: a text, or a question with choices (or columns A, B, ...) and an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spex_mech.core.errors import InputError
from spex_mech.core.quoting import quoted
from spex_mech.tasks.cells import (
    LETTERS,
    answer_index,
    choice_question,
    is_empty,
    optional_text,
    text,
    texts,
)
from spex_mech.tasks.questions import Question
from spex_mech.tasks.tables import TableRow
from spex_mech.tasks.task import SPLITS, Split

_COLUMNS = {"id", "split", "passage", "question", "choices", "answer", "partner"}
_EXPECTED = "expected id, split, question, choices, answer and passage (or text alone)"


def read_row(row: TableRow, name: str, options: tuple[str, ...]) -> Question:
    """One question, or one text to be scored.

    Args:
        row: the row.
        name: the question's id, if the row has none.
        options: what the model answers in place of the row's choices, such as the letters A to D.

    Raises:
        InputError: a row that is not such a one; names file and row.
    """
    values = row.values
    split = _split(row)
    name = optional_text(row, "id") or name
    if "text" in values:
        return Question(name, {"text": text(row, "text")}, (), 0, split, partners=_partners(row))
    passage = optional_text(row, "passage")
    fields = {
        "passage": passage + "\n" if passage else "",
        "question": text(row, "question"),
        **{
            k: v or "" for k, v in values.items() if k not in _COLUMNS and isinstance(v, str | None)
        },
    }
    if is_empty(values.get("choices")):
        choices, right = _lettered(row, bool(options))
    else:
        choices = texts(row, values["choices"])
        right = answer_index(row, row["answer"], len(choices))
    question = choice_question(row, name, fields, choices, right, options, split)
    return replace(question, partners=_partners(row))


def _partners(row: TableRow) -> tuple[str, ...]:
    """The row's corrupted forms: a text in its column ``partner``, or a list of texts."""
    value = row.values.get("partner")
    if is_empty(value):
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not all(isinstance(x, str) for x in value):
        raise InputError(
            f"{row.where} has partner {quoted(value)}, expected a text or a list of texts"
        )
    return tuple(value)


def check_splits(rows: Sequence[TableRow], questions: Sequence[Question]) -> None:
    """Refuse questions of which some have a split and others have none.

    Raises:
        InputError: names the first row without one.
    """
    without = [row for row, x in zip(rows, questions, strict=True) if x.split is None]
    if without and len(without) < len(rows):
        raise InputError(
            f"{without[0].where} has no split, but other rows have one; give all rows a split of "
            f"{list(SPLITS)}, or none"
        )


def _lettered(row: TableRow, in_place: bool) -> tuple[list[str], int]:
    """The choices in columns A, B, ..., without the empty cells, and which of them is right.

    A letter names its column, whatever is empty before it. Where something is, an index could mean two
    choices, and the letters that the model answers ``in_place`` of the choices would not be the columns'.
    """
    columns = [x for x in LETTERS if x in row.values]
    if not columns:
        raise InputError(f"{row.where} lacks choices (or columns A, B, ...); {_EXPECTED}")
    if columns != list(LETTERS[: len(columns)]):
        raise InputError(
            f"{row.where} has choices in columns {', '.join(columns)}; expected A, B, ... with none "
            "left out (a column that holds no choice needs a longer name)"
        )
    filled = [x for x in columns if not is_empty(row.values[x])]
    choices = texts(row, [row.values[x] for x in filled])
    answer = row["answer"]
    is_letter = answer in columns
    if is_letter and answer not in filled:
        raise InputError(
            f"{row.where} has answer {answer!r}, but nothing in column {answer}; fill the cell, or "
            "correct the answer"
        )
    gap = next((x for x in columns[: len(filled)] if x not in filled), None)
    if gap and (in_place or not is_letter):
        raise InputError(
            f"{row.where} has nothing in column {gap} but a choice after it, and answer {answer!r}; "
            f"move the choices to columns A to {columns[len(filled) - 1]} and correct the answer"
        )
    return choices, filled.index(answer) if is_letter else answer_index(row, answer, len(choices))


def _split(row: TableRow) -> Split | None:
    split = row.values.get("split")
    if is_empty(split):
        return None
    if split not in SPLITS:
        raise InputError(f"{row.where} has split {quoted(split)}; expected one of {list(SPLITS)}")
    return split
