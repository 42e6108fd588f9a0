"""Questions from one file: JSONL, CSV or Parquet beside the card, or given as ``data``."""

from __future__ import annotations

from spex_mech.core.errors import MissingFileError
from spex_mech.tasks.layouts import read_questions
from spex_mech.tasks.questions import Pool
from spex_mech.tasks.sources.source import (
    OPTIONAL,
    QUESTIONS,
    Source,
    TaskCard,
    TaskRequest,
    refuse,
)
from spex_mech.tasks.tables import read_table


def pools(card: TaskCard, member: str, request: TaskRequest) -> list[Pool]:
    """The one pool of the file."""
    refuse(card, shots=request.shots, cut=request.cut == "published")
    file = request.data or card.path.parent / card.values["data"]
    if not file.is_file():
        raise MissingFileError(f"task {card.name!r} has no data file {file}; restore it")
    rows = read_table(file)
    layout, options = card.values.get("layout", "rows"), card.values.get("options", ())
    return [Pool(card.name, tuple(read_questions(rows, layout, file.stem, options)))]


SOURCE = Source("file", "data", {**QUESTIONS, "data": str}, {**OPTIONAL, "layout": str}, pools)
