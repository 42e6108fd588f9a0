"""Tasks that an exported model is asked although it was not pruned for them."""

from __future__ import annotations

import numpy as np

from spex_mech.core.errors import InputError
from spex_mech.core.quoting import quoted
from spex_mech.models.loading import EMBEDDED
from spex_mech.run.spec import RunSpec
from spex_mech.run.spec_values import AUTO
from spex_mech.tasks.cards import load_card, load_task, task_names
from spex_mech.tasks.task import ChoiceTask

_QUESTIONS = 200  # of every task, spread over its test questions


def other_tasks(spec: RunSpec) -> tuple[ChoiceTask, ...]:
    """The tasks that the exported model may be asked besides its own, with few questions of each.

    One of the same card is asked as the run's own task is (data, shots, chat), any other as its card says.
    Where the spec leaves them open, they are all those that come with the library and need no data from
    elsewhere: the embedded model's for that model and its tasks, else those of ``circuits``.
    """
    if not spec.others:
        return ()
    names = spec.others
    if names == AUTO:
        embedded = spec.model == EMBEDDED or spec.task.startswith("embedded/")
        folder = "embedded/" if embedded else "circuits/"
        names = [x for x in task_names() if x.startswith(folder) and x != spec.task]
    own = load_card(spec.task).path
    tasks = []
    for name in names:
        if name == spec.task:
            raise InputError(f"others has the run's own task {quoted(name)}; name another task")
        same = load_card(name).path == own
        task = load_task(name, **(spec.asking.model_dump() if same else {}))
        tasks.append(spread_over(task, _QUESTIONS))
    return tuple(tasks)


def spread_over(task: ChoiceTask, most: int | None) -> ChoiceTask:
    """The task with at most so many test questions, spread evenly over all of them; None for all."""
    every = [x.id for x in task.select("test")]
    count = min(most or len(every), len(every))
    chosen = {every[i] for i in np.linspace(0, len(every) - 1, count).round().astype(int)}
    return task.without([x for x in every if x not in chosen])
