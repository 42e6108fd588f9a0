"""Questions from a data set of the hub, or from its files in a folder."""

from __future__ import annotations

from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.core.quoting import quoted
from spex_mech.tasks.hub import Dataset
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


def pools(card: TaskCard, member: str, request: TaskRequest) -> list[Pool]:
    """A pool for each subject."""
    values = card.values
    subjects = card.subjects(member) if card.groups else [values.get("config")]
    source = Dataset(
        values["hub"], values["revision"], request.data, not card.groups, values.get("file")
    )
    parts, search = [values["part"]], None
    if request.cut == "published":
        refuse(card, cut="published" not in values)
        parts, search = _published(values["published"])
    shots_from = values.get("shots_from")
    refuse(card, shots=request.shots and shots_from is None)
    if request.shots and shots_from in parts:
        raise InputError(
            f"the published cut asks the {shots_from} questions too, which shots would show with their "
            "answers; use shots=0 or cut='seeded'"
        )

    def read(config: str | None, part: str):
        prefix = f"{config or card.name}/{part}"
        rows = source.rows(config, part)
        return read_questions(rows, values["layout"], prefix, values.get("options", ()))

    return [
        Pool(
            config or card.name,
            tuple(question for part in parts for question in read(config, part)),
            tuple(read(config, shots_from)) if request.shots and shots_from else (),
            search,
        )
        for config in subjects
    ]


def _published(values: dict[str, Any]) -> tuple[list[str], int]:
    """The parts and the number of search questions of a published cut."""
    parts, search = values.get("parts"), values.get("search")
    texts = isinstance(parts, list) and all(isinstance(part, str) for part in parts)
    if not texts or not parts or type(search) is not int or search < 1:
        raise InputError(
            f'a card\'s published is {quoted(values)}, expected parts = ["..."] and search = a number of '
            "questions"
        )
    return parts, search


SOURCE = Source(
    "hub",
    "hub",
    {**QUESTIONS, "hub": str, "revision": str, "layout": str, "part": str},
    {
        **OPTIONAL,
        "config": str,
        "file": str,
        "shots_from": str,
        "published": dict,
        "groups": dict[str, list[str]],
    },
    pools,
)
