"""What a row of each published dataset means: its fields, options and right answer.

The readings are those of lm-evaluation-harness's tasks of the same names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from spex_mech.core.errors import InputError
from spex_mech.core.quoting import quoted
from spex_mech.tasks.cells import answer_index, answer_number, choice_question, text, texts
from spex_mech.tasks.own_rows import check_splits, read_row
from spex_mech.tasks.questions import Question
from spex_mech.tasks.tables import TableRow


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
    questions = [read(row, f"{prefix}/{i}", tuple(options)) for i, row in enumerate(rows)]
    check_splits(rows, questions)
    return questions


def _mmlu(row: TableRow, name: str, options: tuple[str, ...]) -> Question:
    """The hub's question, choices and answer 0–3, or the archive's columns A to D and a letter."""
    choices = row["choices"] if "choices" in row.values else [row[x] for x in "ABCD"]
    answer = row["answer"]
    right = answer_index(row, answer, len(texts(row, choices)))
    fields = {"question": text(row, "question").strip()}
    return choice_question(row, name, fields, choices, right, options)


def _arc(row: TableRow, name: str, options: tuple[str, ...]) -> Question:
    choices = row["choices"]
    if not isinstance(choices, dict) or not {"label", "text"} <= choices.keys():
        raise InputError(f"{row.where} has choices {quoted(choices)}, expected label and text")
    labels, answers = texts(row, choices["label"]), texts(row, choices["text"])
    answer = row["answerKey"]
    if answer not in labels or len(labels) != len(answers):
        raise InputError(
            f"{row.where} has answerKey {quoted(answer)}, expected one of {quoted(labels)}"
        )
    fields = {"question": text(row, "question")}
    return choice_question(row, text(row, "id"), fields, answers, labels.index(answer), options)


def _hellaswag(row: TableRow, name: str, options: tuple[str, ...]) -> Question:
    context = f"{text(row, 'ctx_a')} {text(row, 'ctx_b').capitalize()}"
    fields = {"query": _without_brackets(f"{text(row, 'activity_label')}: {context}")}
    endings = [_without_brackets(x) for x in texts(row, row["endings"])]
    return choice_question(
        row, name, fields, endings, answer_number(row, row["label"], len(endings)), options
    )


def _boolq(row: TableRow, name: str, options: tuple[str, ...]) -> Question:
    fields = {"passage": text(row, "passage"), "question": text(row, "question")}
    answer = row["answer"] if "answer" in row.values else row["label"]
    return choice_question(row, name, fields, ["no", "yes"], answer_number(row, answer, 2), options)


def _winogrande(row: TableRow, name: str, options: tuple[str, ...]) -> Question:
    """The sentence up to the blank with each option is read; what follows the blank is scored."""
    sentence, answer = text(row, "sentence"), row["answer"]
    if sentence.count("_") < 1 or answer not in ("1", "2"):
        raise InputError(
            f"{row.where} has sentence {quoted(sentence)} and answer {quoted(answer)}; expected a blank "
            "'_' and an answer '1' or '2'"
        )
    start, _, rest = sentence.partition("_")
    contexts = tuple(start + text(row, column) for column in ("option1", "option2"))
    ending = rest.strip()
    return Question(
        name, {"sentence": sentence}, (ending, ending), int(answer) - 1, contexts=contexts
    )


def _piqa(row: TableRow, name: str, options: tuple[str, ...]) -> Question:
    choices = [text(row, "sol1"), text(row, "sol2")]
    fields = {"goal": text(row, "goal")}
    return choice_question(
        row, name, fields, choices, answer_number(row, row["label"], len(choices)), options
    )


def _blimp(row: TableRow, name: str, options: tuple[str, ...]) -> Question:
    """The right sentence and the wrong one, with nothing before them."""
    sentences = (text(row, "sentence_good"), text(row, "sentence_bad"))
    return Question(name, {}, sentences, 0)


def _without_brackets(text: str) -> str:
    """WikiHow's marks removed as lm-evaluation-harness's hellaswag does."""
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


_LAYOUTS: dict[str, Callable[[TableRow, str, tuple[str, ...]], Question]] = {
    "rows": read_row,
    "mmlu": _mmlu,
    "arc": _arc,
    "hellaswag": _hellaswag,
    "boolq": _boolq,
    "winogrande": _winogrande,
    "piqa": _piqa,
    "blimp": _blimp,
}
