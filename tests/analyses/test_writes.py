"""What the removal of a head changes is a sum over what the later parts write."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import spex_mech as sm

sys.path.append(str(Path(__file__).parents[2] / "analyses" / "head_pruning_real"))
import writes

HEADS = ((0, 4), (2, 1))  # the first attends to its own position
NAMES = [writes.name_of(place) for place in HEADS]


@pytest.fixture(scope="module")
def model() -> sm.Model:
    return sm.load_model("embedded")


@pytest.fixture(scope="module")
def task() -> sm.tasks.ChoiceTask:
    """Questions of the embedded model with the first two of their options."""
    task = sm.load_task("embedded/kinds")
    few = [replace(x, options=x.options[:2], answer=0) for x in task.select("test")[:6]]
    return replace(task, examples=tuple(few))


@pytest.fixture(scope="module")
def asked(model, task) -> list[writes.Asked]:
    return [writes.ask(model, example, HEADS) for example in task.examples]


def test_the_margins_are_those_of_the_game(model, task, asked):
    players = sm.select_players(model, "heads")
    game = sm.TaskGame(model, task, players, split="test", metric="margin")
    masks = np.ones((3, players.n), dtype=bool)
    for mask, name in zip(masks[1:], NAMES, strict=True):
        mask[list(players.names).index(name)] = False
    wanted = game.per_question(masks)
    found = np.array([one.margins[[0, 1, 4]] for one in asked]).T
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_what_all_parts_write_is_the_margin(asked):
    for one in asked:
        total = one.embedding + one.heads.sum(axis=(1, 2)) + one.mlps.sum(axis=1)
        assert total[0] == pytest.approx(one.margins[0], abs=1e-4)
        ratios = total / one.margins  # of the divisors of the last norm
        assert (ratios > 0).all() and np.ptp(ratios) > 1e-4


def test_each_way_removes_what_it_says(asked):
    for one in asked:
        for number, (layer, head) in enumerate(HEADS):
            everywhere, last, itself = 1 + 3 * number + np.arange(3)
            assert one.heads[everywhere, layer, head] == one.heads[last, layer, head] == 0
            assert one.attention[itself, layer, head, -1] == 0 < one.attention[0, layer, head, -1]
            np.testing.assert_array_equal(
                one.attention[itself, layer, head, :-1], one.attention[0, layer, head, :-1]
            )
            assert one.heads[itself, layer, head] != 0
            # Nothing before the head changes.
            np.testing.assert_array_equal(one.mlps[everywhere, :layer], one.mlps[0, :layer])
        assert one.margins[4] != one.margins[5] and one.margins[1] != one.margins[2]
    read = np.array([one.heads[[0, 3], 0, 4] for one in asked])
    assert np.abs(read[:, 0] - read[:, 1]).max() > 1e-3


def test_a_head_s_write_on_both_options_is_its_part_of_the_margin(asked):
    for one in asked:
        for number, (layer, head) in enumerate(HEADS):
            right, wrong = one.options[number]
            assert right - wrong == pytest.approx(one.heads[0, layer, head], abs=1e-5)


def test_a_row_adds_up(asked):
    row = writes.row("ioi", 1, HEADS, (), asked)
    mean = {name: float(text.split()[0]) for name, text in row.items() if "[" in text}
    parts = ("without its own write", "later heads", "later MLPs")
    assert sum(mean[part] for part in parts) == pytest.approx(
        mean["full model's divisor"], abs=0.02
    )
    assert row["head"] == "L2H1" and row["largest of them"].startswith("L3H")
