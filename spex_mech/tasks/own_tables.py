"""A table of questions of one's own as a task, without a card: the card that such a table gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.tasks.cells import LETTERS
from spex_mech.tasks.sources.source import TaskCard
from spex_mech.tasks.tables import read_table


def table_card(path: Path, form: str | None = None) -> TaskCard:
    """The card of a table; its rows are those of `own_rows`.

    Questions are asked as "Question: ... Answer:", and every choice is scored as how that goes on
    (``continuations``), which any model can do. With ``form="letters"`` the choices stand in the question
    and the model answers with a letter, as in MMLU. Rows with ``text`` alone are scored as texts.

    Args:
        path: a ``.csv`` file with a header, a ``.jsonl`` or a ``.parquet`` file.
        form: answer form, see `ChoiceTask`; None for what the columns suggest.

    Raises:
        MissingFileError: the file is not there.
        InputError: it has no rows, or cannot be read; or columns that do not go with the form.
    """
    if not path.is_file():
        raise MissingFileError(
            f"table of questions {str(path)!r} does not exist; give a file with the columns question, A, B, "
            "... and answer (or text alone), or a task name"
        )
    rows = read_table(path)
    if not rows:
        raise InputError(f"{path} has no rows; expected a question in each")
    values: dict[str, Any] = {
        "version": 1,
        "description": f"questions in {path.name}",
        "data": path.name,
    }
    columns = rows[0].values
    if "text" in columns:
        return TaskCard(path.stem, path, "file", {**values, **_TEXTS})
    if form != "letters":
        return TaskCard(path.stem, path, "file", {**values, **_CONTINUATIONS})
    options = [letter for letter in LETTERS if letter in columns]
    if not options:
        raise InputError(
            f"{path} has no columns A, B, ..., which the form 'letters' needs for a table without a card; "
            "name them so, or leave the form out"
        )
    choices = "".join(f"{letter}. {{{letter}}}\n" for letter in options)
    template = f"{{passage}}{{question}}\n{choices}Answer:"
    return TaskCard(
        path.stem,
        path,
        "file",
        {**values, "template": template, "options": options, "metric": "margin"},
    )


_TEXTS = {"template": "{text}", "form": "texts", "metric": "logprob"}
_CONTINUATIONS = {
    "template": "{passage}Question: {question}\nAnswer:",
    "form": "continuations",
    "metric": "margin_norm",
}
