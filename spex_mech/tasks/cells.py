"""What the cells of a row hold: texts, lists of texts, answers. What is not that is named by file and row.

One rule for all sources: an empty cell is null. Numbers are not texts, except in CSV files, in which
every cell is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.core.quoting import quoted
from spex_mech.tasks.questions import Question
from spex_mech.tasks.tables import TableRow
from spex_mech.tasks.task import Split

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def is_empty(value: Any) -> bool:
    """Whether a cell is empty: the empty text of a CSV file, or null."""
    return value is None or value == ""


def text(row: TableRow, column: str) -> str:
    """A cell's text, which may be the empty text.

    Raises:
        InputError: no such column, or null, a number or a list in it.
    """
    value = row[column]
    if not isinstance(value, str):
        raise InputError(f"{row.where} has {column} {quoted(value)}, expected text")
    return value


def optional_text(row: TableRow, column: str) -> str:
    """A cell's text; the empty text where the cell is empty or the column is not there.

    Raises:
        InputError: a number or a list in it.
    """
    return "" if is_empty(row.values.get(column)) else text(row, column)


def texts(row: TableRow, choices: Any) -> list[str]:
    """A list of texts, any of which may be the empty text.

    Raises:
        InputError: no list, or a null, number or list in it.
    """
    if not isinstance(choices, (list, tuple)) or not all(isinstance(c, str) for c in choices):
        raise InputError(
            f"{row.where} has choices {quoted(choices)}, expected a list of texts (numbers in quotes)"
        )
    return list(choices)


def choice_question(
    row: TableRow,
    name: str,
    fields: Mapping[str, str],
    choices: Sequence[Any],
    right: int,
    options: tuple[str, ...],
    split: Split | None = None,
) -> Question:
    """A question whose template may name its choices by letter.

    Raises:
        InputError: choices that are not texts, or not as many as ``options``.
    """
    texts(row, choices)
    if options and len(choices) != len(options):
        raise InputError(
            f"{row.where} has {len(choices)} choices and answer {right!r}; expected {len(options)} "
            f"choices and an answer from 0 to {len(options) - 1}"
        )
    lettered = dict(zip(options or LETTERS, choices, strict=False))
    return Question(name, {**lettered, **fields}, options or tuple(choices), right, split)


def answer_index(row: TableRow, answer: Any, count: int) -> int:
    """The answer among a number of choices as an index, from an index or a letter.

    Raises:
        InputError: neither.
    """
    letters = LETTERS[:count]
    if isinstance(answer, str) and len(answer) == 1 and answer in letters:
        return letters.index(answer)
    return answer_number(row, answer, count)


def answer_number(row: TableRow, answer: Any, count: int) -> int:
    """The same from an index alone, as a number, a text or a boolean.

    Raises:
        InputError: no index of a choice.
    """
    written = str(int(answer)) if isinstance(answer, (bool, int)) else answer
    if written not in [str(i) for i in range(count)]:
        raise InputError(
            f"{row.where} has {count} choices and answer {quoted(answer)}; expected an answer from 0 "
            f"to {count - 1} or a letter from {LETTERS[:1]} to {LETTERS[:count][-1:]}"
        )
    return int(written)
