"""Repeated splits: a task's questions drawn anew into search, validation and test."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

from spex_mech.core.errors import InputError
from spex_mech.tasks.task import SPLITS, ChoiceTask, Example, Split


def resplit(
    task: ChoiceTask,
    *,
    seed: int,
    splits: Sequence[Split] = SPLITS,
    group: Callable[[Example], Hashable] | None = None,
) -> ChoiceTask:
    """The task with its questions in other splits, of the same sizes.

    A claim that rests on one split may rest on its luck. Questions are ordered by a hash of the seed and
    their group, so that neither their order nor any library's random numbers decide, and fill search,
    validation and test in turn. Questions of one group share a split, which may then be a little larger
    than it was. The card's own splits may have been cut with care (by passage, by wording); this one
    knows only ``group``.

    Args:
        task: the task; keep it whole (`ChoiceTask.first` after this, not before).
        seed: seed of the order.
        splits: the splits to draw among; questions of others stay where they are.
        group: from an example to what questions must share to be kept together; by default the prompt
            and its options, so that no question is both searched and tested on.

    Raises:
        InputError: an unknown split, fewer than two with questions, or groups so large that one of them
            gets none.
    """
    unknown = [split for split in splits if split not in SPLITS]
    if unknown:
        raise InputError(f"unknown splits {unknown}; expected some of {list(SPLITS)}")
    group = _question if group is None else group
    drawn = [x for x in task.examples if x.split in splits]
    names: list[Split] = [name for name in SPLITS if any(x.split == name for x in drawn)]
    sizes = [sum(x.split == name for x in drawn) for name in names]
    if len(names) < 2:
        raise InputError(
            f"task {task.name!r} has questions in {names} of the splits {list(splits)}; drawing "
            "anew needs two or more"
        )
    groups: dict[Hashable, list[Example]] = {}
    for example in drawn:
        groups.setdefault(group(example), []).append(example)
    split_of: dict[str, Split] = {}
    placed = filled = 0
    for key in sorted(groups, key=lambda key: _hash(seed, key)):
        while filled < len(names) - 1 and placed >= sum(sizes[: filled + 1]):
            filled += 1
        for example in groups[key]:
            split_of[example.id] = names[filled]
        placed += len(groups[key])
    empty = [name for name in names if name not in split_of.values()]
    if empty:
        raise InputError(
            f"groups of up to {max(map(len, groups.values()))} questions leave none for {empty}; give a "
            "finer group"
        )
    moved = [replace(x, split=split_of.get(x.id, x.split)) for x in task.examples]
    return replace(task, examples=tuple(moved))


def _question(example: Example) -> Hashable:
    return example.prompt, example.options, example.contexts


def _hash(seed: int, key: Hashable) -> str:
    return hashlib.sha256(f"{seed} {key!r}".encode()).hexdigest()
