"""What a source of questions is: the keys of its cards, and how their questions are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.tasks.questions import Pool

EVERY_CARD: Mapping[str, Any] = {"version": int, "description": str}
QUESTIONS: Mapping[str, Any] = {**EVERY_CARD, "template": str, "metric": str}
OPTIONAL: Mapping[str, Any] = {"form": str, "intro": str, "options": list[str], "partner": str}


@dataclass(frozen=True)
class TaskCard:
    """One task card, checked.

    Attributes:
        name: path of the card below the tasks folder, without ending: ``embedded/people``.
        path: the card's file; ``data`` is read relative to it.
        kind: name of its source: ``file``, ``hub``, ``generator`` or ``game``.
        values: the card's keys.
    """

    name: str
    path: Path
    kind: str
    values: Mapping[str, Any] = field(repr=False)

    @property
    def description(self) -> str:
        """One line."""
        return self.values["description"]

    @property
    def groups(self) -> dict[str, list[str]]:
        """Group name to its subjects; empty for a card with a single subject."""
        return self.values.get("groups", {})

    @property
    def members(self) -> list[str]:
        """The groups and subjects that may follow the card's name."""
        return [*self.groups, *(s for subjects in self.groups.values() for s in subjects)]

    def subjects(self, member: str) -> list[str]:
        """The subjects of a group or subject; of all groups for ``""``."""
        every = [s for subjects in self.groups.values() for s in subjects]
        return every if not member else self.groups.get(member, [member])


@dataclass(frozen=True)
class TaskRequest:
    """Arguments of `load_task`, checked."""

    data: Path | None
    shots: int
    seed: int
    cut: str
    chat: str | None
    form: str | None
    partner: str | None


@dataclass(frozen=True)
class Source:
    """A source of questions that a card may name.

    Attributes:
        name: the card's ``kind``.
        sign: the key that only cards of this source have.
        required: keys that must be there, with their types, such as ``str`` or ``list[str]``.
        optional: keys that may be there.
        pools: (card, group or subject, request) to pools of questions; None where there are no questions.
    """

    name: str
    sign: str
    required: Mapping[str, Any]
    optional: Mapping[str, Any]
    pools: Callable[[TaskCard, str, TaskRequest], list[Pool]] | None


def refuse(card: TaskCard, **options: Any) -> None:
    """Refuse options of `load_task` that a card cannot serve.

    Raises:
        InputError: an option whose value is true.
    """
    for option, value in options.items():
        if value:
            raise InputError(f"task {card.name!r} has no {option}; leave {option}= out")
