"""Questions as their sources give them, before a template turns them into prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from spex_mech.tasks.task import Split


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        id: unique text within the task.
        fields: the texts that a template may insert, by name.
        options: the texts of the options; none for a text that is only scored.
        answer: index of the right option, from 0.
        split: its split; None where the source names none.
        contexts: one prompt per option where the text before the options differs.
        partners: corrupted forms of the question, as the filled template would be, the best first.
    """

    id: str
    fields: Mapping[str, str]
    options: tuple[str, ...]
    answer: int
    split: Split | None = None
    contexts: tuple[str, ...] = ()
    partners: tuple[str, ...] = field(default=(), repr=False)

    @property
    def content(self) -> str:
        """What makes two questions the same."""
        return repr((sorted(self.fields.items()), self.options, self.contexts))


@dataclass(frozen=True)
class Pool:
    """The questions of one subject, with those that may serve as shots.

    Attributes:
        name: the subject.
        questions: the questions of the task, in the source's order.
        shots: worked examples, in the source's order.
        search: the number of search questions where a published cut decides it; see `assign`.
    """

    name: str
    questions: tuple[Question, ...] = field(repr=False)
    shots: tuple[Question, ...] = field(default=(), repr=False)
    search: int | None = None

    @property
    def title(self) -> str:
        """The subject in words."""
        return self.name.replace("_", " ")
