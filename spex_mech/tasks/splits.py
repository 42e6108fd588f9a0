"""Splits by a seeded hash: of questions that come without, and of a whole task drawn anew."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from math import ceil

from spex_mech.core.errors import InputError
from spex_mech.tasks.questions import Question
from spex_mech.tasks.task import SPLITS, ChoiceTask, Example, Split

_SEARCH, _VALIDATION = 0.5, 0.1


def assign(questions: Sequence[Question], *, seed: int, search: int | None = None) -> list[Split]:
    """A fixed split for each question of a source that names none, by its content and a seed.

    Questions are ordered by a hash of seed and content, so that neither the order of a file nor any
    library's random numbers decide. Half go to search, a tenth to validation, the rest to test; with
    ``search`` that many go to search, none to validation and the rest to test. Equal questions share
    a split, which may then be a little larger.

    Args:
        questions: one subject's questions.
        seed: seed of the order.
        search: number of search questions of a published cut.

    Returns:
        The splits, in the order of the questions.

    Raises:
        InputError: a cut that leaves nothing to test.
    """
    count = len(questions)
    if search is None:
        search = ceil(_SEARCH * count)
        validation = round(_VALIDATION * count)
    else:
        validation = 0
        if search >= count:
            raise InputError(
                f"a cut with {search} search questions needs more than the {count} there are; use "
                "cut='seeded'"
            )
    keys = [_hash(seed, question.content) for question in questions]
    splits: dict[str, Split] = {}
    placed = 0
    for key in sorted(keys):  # equal questions are neighbours
        if key not in splits:
            inside = placed < search + validation
            splits[key] = "search" if placed < search else "validation" if inside else "test"
        placed += 1
    return [splits[key] for key in keys]


def resplit(
    task: ChoiceTask,
    *,
    seed: int,
    splits: Sequence[Split] = SPLITS,
    group: Callable[[Example], Hashable] | None = None,
) -> ChoiceTask:
    """The task with its questions in other splits, of the same sizes.

    What holds for one split may not hold for others. Questions are ordered by a hash of the seed and
    their group, so that neither their order nor any library's random numbers decide, and fill search,
    validation and test in turn. Questions of one group share a split, which may then be a little larger
    than it was. A card may have cut its own splits with care (by passage, by wording); this function
    keeps together only what ``group`` says.

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
    group_of = _what_is_asked if group is None else group
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
        groups.setdefault(group_of(example), []).append(example)
    split_of: dict[str, Split] = {}
    placed = filled = 0
    for key in sorted(groups, key=lambda key: _hash(seed, repr(key))):
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


def _what_is_asked(example: Example) -> Hashable:
    return example.prompt, example.options, example.contexts


def _hash(seed: int, content: str) -> str:
    return hashlib.sha256(f"{seed} {content}".encode()).hexdigest()
