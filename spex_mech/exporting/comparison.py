"""A model before and after pruning on the same questions: what a task's table has in the model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spex_mech.core.estimates import Estimate


@dataclass(frozen=True)
class Measure:
    """One measure of a task.

    Attributes:
        name: what is measured, such as ``accuracy``.
        before: its value for the whole model.
        after: its value for the pruned model.
        change: after minus before on the same questions, with its interval.
    """

    name: str
    before: float
    after: float
    change: Estimate


@dataclass(frozen=True)
class TaskComparison:
    """One task, asked before and after pruning.

    Attributes:
        task: its name.
        specialised: whether the model was pruned for it; else the table shows the damage.
        questions: how many test questions were asked.
        chance: accuracy of guessing; None where there are no answers to guess.
        measures: what was measured.
    """

    task: str
    specialised: bool
    questions: int
    chance: float | None
    measures: tuple[Measure, ...]

    @property
    def title(self) -> str:
        """The task, whether the model was pruned for it, and how many questions were asked."""
        purpose = "pruned for" if self.specialised else "not pruned for"
        guessing = "" if self.chance is None else f"; guessing is right on {self.chance:.0%}"
        return f"{self.task}, {purpose}: {self.questions} test questions{guessing}"


def comparison_rows(comparison: TaskComparison) -> Sequence[tuple[str, str, str, str]]:
    """Name, before, after and change of every measure, as texts."""
    return [
        (row.name, f"{row.before:.3f}", f"{row.after:.3f}", str(row.change))
        for row in comparison.measures
    ]
