"""Fixed, disjoint splits of questions that come without."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import ceil

from spex_mech.core.errors import InputError
from spex_mech.tasks.questions import Question
from spex_mech.tasks.task import Split

SEARCH, VALIDATION = 0.5, 0.1


def assign(questions: Sequence[Question], *, seed: int, search: int | None = None) -> list[Split]:
    """A split for each question, by its content and a seed.

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
        search = ceil(SEARCH * count)
        validation = round(VALIDATION * count)
    else:
        validation = 0
        if search >= count:
            raise InputError(
                f"a cut with {search} search questions needs more than the {count} there are; use "
                "cut='seeded'"
            )
    keys = [_key(x, seed) for x in questions]
    splits: dict[str, Split] = {}
    placed = 0
    for key in sorted(keys):  # equal questions are neighbours
        if key not in splits:
            inside = placed < search + validation
            splits[key] = "search" if placed < search else "validation" if inside else "test"
        placed += 1
    return [splits[key] for key in keys]


def _key(question: Question, seed: int) -> str:
    return hashlib.sha256(f"{seed} {question.content}".encode()).hexdigest()
