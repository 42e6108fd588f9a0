"""What a row of each published dataset means: its fields, options and right answer.

The readings are those of lm-evaluation-harness's tasks of the same names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.core.quoting import quoted
from spex_mech.tasks.questions import Question
from spex_mech.tasks.tables import TableRow
from spex_mech.tasks.task import SPLITS, Split

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def read_questions(
    rows: Sequence[TableRow], layout: str, prefix: str, options: Sequence[str] = ()
) -> list[Question]:
    """Questions of rows in a layout.

    Args:
        rows: rows as they were read.
        layout: ``rows`` (our own), ``mmlu``, ``arc``, ``hellaswag``, ``boolq``, ``winogrande``,
            ``piqa`` or ``blimp``.
        prefix: begins the ids of rows that have none.
        options: what the model answers in place of a row's choices, such as the letters A to D.

    Raises:
        InputError: an unknown layout, or a row that is not in it; names file and row.
    """
    if layout not in _LAYOUTS:
        raise InputError(f"unknown layout {layout!r}; expected one of {', '.join(_LAYOUTS)}")
    read = _LAYOUTS[layout]
    return [read(row, f"{prefix}/{i}", tuple(options)) for i, row in enumerate(rows)]


def _rows(row: TableRow, name: str, options: tuple[str, ...]) -> Question:
    """Our own: question or text; choices (or columns A, B, ...) and answer; id, split, passage if any."""
    values = row.values
    split = _split(row)
    name = _text(row, "id") if values.get("id") is not None else name
    if "text" in values:
        return Question(name, {"text": _text(row, "text")}, (), 0, split)
    passage = _text(row, "passage") if values.get("passage") else ""
    fields = {
        "passage": passage + "\n" if passage else "",
        "question": _text(row, "question"),
        **{k: v for k, v in values.items() if isinstance(v, str) and k not in _OWN},
    }
    if "choices" not in values and "A" not in values:
        raise InputError(f"{row.where} lacks choices (or columns A, B, ...); {_EXPECTED}")
    choices = values.get("choices") or [
        values[x] for x in LETTERS if values.get(x) not in (None, "")
    ]
    right = _index(row, row["answer"], _texts(row, choices))
    return _choice(row, name, fields, choices, right, options, split)


_OWN = {"id", "split", "passage", "question", "choices", "answer"}
_EXPECTED = "expected id, split, question, choices, answer and passage (or text alone)"


def _mmlu(row: TableRow, name: str, options: tuple[str, ...]) -> Question:
    """The hub's question, choices and answer 0–3, or the archive's columns A to D and a letter."""
    choices = row["choices"] if "choices" in row.values else [row[x] for x in "ABCD"]
    answer = row["answer"]
    right = _index(row, answer, _texts(row, choices))
    fields = {"question": _text(row, "question").strip()}
    return _choice(row, name, fields, choices, right, options)


def _arc(row: TableRow, name: str, options: tuple[str, ...]) -> Question:
    choices = row["choices"]
    if not isinstance(choices, dict) or not {"label", "text"} <= choices.keys():
        raise InputError(f"{row.where} has choices {quoted(choices)}, expected label and text")
    labels, texts = _texts(row, choices["label"]), _texts(row, choices["text"])
    answer = row["answerKey"]
    if answer not in labels or len(labels) != len(texts):
        raise InputError(
            f"{row.where} has answerKey {quoted(answer)}, expected one of {quoted(labels)}"
        )
    fields = {"question": _text(row, "question")}
    return _choice(row, _text(row, "id"), fields, texts, labels.index(answer), options)


def _hellaswag(row: TableRow, name: str, options: tuple[str, ...]) -> Question:
    context = f"{_text(row, 'ctx_a')} {_text(row, 'ctx_b').capitalize()}"
    fields = {"query": _without_brackets(f"{_text(row, 'activity_label')}: {context}")}
    endings = [_without_brackets(x) for x in _texts(row, row["endings"])]
    return _choice(row, name, fields, endings, _number(row, row["label"], endings), options)


def _boolq(row: TableRow, name: str, options: tuple[str, ...]) -> Question:
    fields = {"passage": _text(row, "passage"), "question": _text(row, "question")}
    answer = row["answer"] if "answer" in row.values else row["label"]
    return _choice(row, name, fields, ["no", "yes"], _number(row, answer, ["no", "yes"]), options)


def _winogrande(row: TableRow, name: str, options: tuple[str, ...]) -> Question:
    """The sentence up to the blank with each option is read; what follows the blank is scored."""
    sentence, answer = _text(row, "sentence"), row["answer"]
    if sentence.count("_") < 1 or answer not in ("1", "2"):
        raise InputError(
            f"{row.where} has sentence {quoted(sentence)} and answer {quoted(answer)}; expected a blank "
            "'_' and an answer '1' or '2'"
        )
    start, _, rest = sentence.partition("_")
    contexts = tuple(start + _text(row, column) for column in ("option1", "option2"))
    ending = rest.strip()
    return Question(
        name, {"sentence": sentence}, (ending, ending), int(answer) - 1, contexts=contexts
    )


def _piqa(row: TableRow, name: str, options: tuple[str, ...]) -> Question:
    choices = [_text(row, "sol1"), _text(row, "sol2")]
    fields = {"goal": _text(row, "goal")}
    return _choice(row, name, fields, choices, _number(row, row["label"], choices), options)


def _blimp(row: TableRow, name: str, options: tuple[str, ...]) -> Question:
    """The right sentence and the wrong one, with nothing before them."""
    sentences = (_text(row, "sentence_good"), _text(row, "sentence_bad"))
    return Question(name, {}, sentences, 0)


def _choice(
    row: TableRow,
    name: str,
    fields: dict[str, str],
    choices: Sequence[Any],
    right: int,
    options: tuple[str, ...],
    split: Split | None = None,
) -> Question:
    """A question whose template may name its choices by letter."""
    _texts(row, choices)
    if options and len(choices) != len(options):
        raise InputError(
            f"{row.where} has {len(choices)} choices and answer {right!r}; expected {len(options)} "
            f"choices and an answer from 0 to {len(options) - 1}"
        )
    lettered = dict(zip(options or LETTERS, choices, strict=False))
    return Question(name, {**lettered, **fields}, options or tuple(choices), right, split)


def _texts(row: TableRow, choices: Any) -> list[str]:
    if not isinstance(choices, (list, tuple)) or not all(isinstance(c, str) for c in choices):
        raise InputError(f"{row.where} has choices {quoted(choices)}, expected a list of texts")
    return list(choices)


def _text(row: TableRow, column: str) -> str:
    value = row[column]
    if not isinstance(value, str):
        raise InputError(f"{row.where} has {column} {quoted(value)}, expected text")
    return value


def _index(row: TableRow, answer: Any, choices: Sequence[Any]) -> int:
    """The answer as an index, from an index or a letter."""
    letters = LETTERS[: len(choices)]
    if isinstance(answer, str) and len(answer) == 1 and answer in letters:
        return letters.index(answer)
    return _number(row, answer, choices)


def _number(row: TableRow, answer: Any, choices: Sequence[Any]) -> int:
    text = str(int(answer)) if isinstance(answer, (bool, int)) else answer
    if text not in [str(i) for i in range(len(choices))]:
        letters = LETTERS[: len(choices)]
        raise InputError(
            f"{row.where} has {len(choices)} choices and answer {quoted(answer)}; expected an answer from 0 "
            f"to {len(choices) - 1} or a letter from {letters[:1]} to {letters[-1:]}"
        )
    return int(text)


def _split(row: TableRow) -> Split | None:
    split = row.values.get("split")
    if split is not None and split not in SPLITS:
        raise InputError(f"{row.where} has split {quoted(split)}; expected one of {list(SPLITS)}")
    return split


def _without_brackets(text: str) -> str:
    """WikiHow's marks removed as lm-evaluation-harness's hellaswag does."""
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


_LAYOUTS: dict[str, Callable[[TableRow, str, tuple[str, ...]], Question]] = {
    "rows": _rows,
    "mmlu": _mmlu,
    "arc": _arc,
    "hellaswag": _hellaswag,
    "boolq": _boolq,
    "winogrande": _winogrande,
    "piqa": _piqa,
    "blimp": _blimp,
}
