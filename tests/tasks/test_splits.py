"""Repeated splits: disjoint, of the same sizes, by seed and content alone."""

from __future__ import annotations

import pytest

import spex_mech as sm
from spex_mech.core.errors import InputError
from spex_mech.tasks.splits import resplit
from spex_mech.tasks.task import SPLITS, ChoiceTask, Example


def sizes(task) -> dict[str, int]:
    return {split: sum(x.split == split for x in task.examples) for split in SPLITS}


def parts(task) -> dict[str, str]:
    return {x.id: x.split for x in task.examples}


def small(counts=(6, 3, 6), prompt="question {}") -> ChoiceTask:
    where = [split for split, count in zip(SPLITS, counts, strict=True) for _ in range(count)]
    examples = [Example(f"q{i}", prompt.format(i), 0, ("a", "b"), s) for i, s in enumerate(where)]
    return ChoiceTask("small", 1, tuple(examples))


def test_every_question_has_one_split_and_sizes_stay():
    task = sm.load_task("embedded/kinds")
    again = resplit(task, seed=1)
    assert sizes(again) == sizes(task) == {"search": 240, "validation": 240, "test": 480}
    assert [x.id for x in again.examples] == [x.id for x in task.examples]
    texts = {s: {(x.prompt, x.options) for x in again.select(s)} for s in SPLITS}
    assert not texts["search"] & texts["test"] and not texts["validation"] & texts["test"]
    assert [(x.prompt, x.answer) for x in again.examples] == [
        (x.prompt, x.answer) for x in task.examples
    ]


def test_the_seed_decides_and_the_order_does_not():
    task = small((60, 30, 60))
    assert parts(resplit(task, seed=3)) == parts(resplit(task, seed=3))
    turned = ChoiceTask("small", 1, task.examples[::-1])
    assert parts(resplit(turned, seed=3)) == parts(resplit(task, seed=3))
    # A question stays where it was with chance 0.4^2 + 0.2^2 + 0.4^2 = 0.36; sd 0.039 of 150.
    first, second = parts(resplit(task, seed=0)), parts(resplit(task, seed=1))
    assert 0.2 < sum(first[k] == second[k] for k in first) / 150 < 0.52
    assert parts(resplit(resplit(task, seed=0), seed=1)) == second


def test_groups_stay_together():
    task = small((40, 20, 40))
    again = resplit(task, seed=0, group=lambda x: int(x.id[1:]) // 4)
    for start in range(0, 100, 4):
        assert len({parts(again)[f"q{start + i}"] for i in range(4)}) == 1
    assert sizes(again)["search"] in range(40, 44)
    same = resplit(small((3, 0, 3), prompt="one question"), seed=0, group=lambda x: x.id)
    assert sizes(same) == {"search": 3, "validation": 0, "test": 3}


def test_other_splits_can_be_left_alone():
    task = small((20, 10, 20))
    again = resplit(task, seed=0, splits=("search", "validation"))
    assert {k for k, v in parts(again).items() if v == "test"} == {f"q{i}" for i in range(30, 50)}
    assert sizes(again) == sizes(task) and parts(again) != parts(task)


def test_bad_splits():
    with pytest.raises(InputError, match=r"unknown splits \['train'\]"):
        resplit(small(), seed=0, splits=("train", "test"))
    with pytest.raises(InputError, match="drawing anew needs two or more"):
        resplit(small((5, 0, 0)), seed=0)
    with pytest.raises(InputError, match=r"groups of up to 15 questions leave none for \['valid"):
        resplit(small(prompt="the same"), seed=0)
