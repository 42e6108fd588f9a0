"""A budget in rounds: how many masks and questions each has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spex_mech.evaluation.questions import QuestionChoice
from spex_mech.evaluation.rounds import in_rounds, round_sizes

CASES = [
    (32, 40, 60, 1, 24), (32, 400, 60, 1, 24), (270, 400, 60, 1, 24), (32, 5000, 60, 5, 0),
    (10, 20, 12, 1, 0), (32, 400, 60, 60, 0), (40, 3, 5, 2, 0),
]  # fmt: skip


def test_rounds_of_whole_masks_grow_by_half():
    assert round_sizes(12, 300, None) == (64, 96, 144, 216, 300)
    assert round_sizes(100, 300, None) == (200, 300)
    assert round_sizes(12, 50, None) == (50,)
    assert round_sizes(5, 100, None, 32) == (32,)  # all masks that there are


@pytest.mark.parametrize("n, budget, questions, each, pilot", CASES)
def test_rounds_spend_what_is_there_and_no_more(n, budget, questions, each, pilot):
    choice = in_rounds(QuestionChoice(each, questions, "", pilot), n, budget)
    sizes, rows = round_sizes(n, budget, choice), budget * questions
    counts = choice.counts(sizes[-1])
    spent = np.cumsum(counts)[np.array(sizes) - 1]
    assert (np.diff(sizes) > 0).all() and counts.min() >= 1 and counts.max() <= questions
    assert rows - counts.max() < spent[-1] <= rows
    # Each round spends half of what was spent before it, but for the masks that it cannot split.
    assert (spent[1:] <= 1.5 * spent[:-1] + 2 * counts.max()).all()
    # The masks of a pilot come first and keep their number of questions.
    np.testing.assert_array_equal(counts[:pilot], min(4, questions))
    assert (np.diff([count for _, count in choice.later]) >= 0).all()


def test_a_large_budget_asks_more_in_later_rounds_only():
    usual = QuestionChoice(1, 60, "", 24)
    choice = in_rounds(usual, 32, 400)
    sizes = round_sizes(32, 400, choice)
    assert choice.later and sizes[-1] <= 4000
    first = choice.later[0][0]
    assert first in sizes and first >= 1000
    np.testing.assert_array_equal(choice.counts(first), usual.counts(first))
    assert in_rounds(usual, 32, 40).later == ()
    spread = usual.spread(400 * 60)
    assert spread.each > choice.counts(sizes[0])[-1] == 1


def test_masks_are_as_many_as_the_answers_pay_for():
    choice = replace(QuestionChoice(1, 60, "", 0), later=((10, 3),))
    np.testing.assert_array_equal(choice.counts(12), [2, 1, 1, 1, 1, 2, 1, 1, 1, 1, 3, 3])
    assert choice.masks(12) == 10 and choice.masks(15) == 11 and choice.masks(17) == 11
