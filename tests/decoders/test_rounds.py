"""Rounds: when they stop, and the line that says what was reached."""

from __future__ import annotations

import pytest

from spex_mech.core.estimates import Estimate
from spex_mech.decoders.rounds import Round, rounds_message

SURE, UNSURE = (Estimate(0.93, low, 0.96, 300, 0.95) for low in (0.91, 0.86))


@pytest.mark.parametrize(
    "last, reached",
    [
        (Round(96, 0.93, 96, SURE), True),
        (Round(96, 0.93, 96, UNSURE), False),  # an estimate above the target is not enough
        (Round(96, 0.93, 96), True),  # without an interval it is
        (Round(96, 0.89, 96), False),
        (Round(96, float("nan"), 96), False),
    ],
)
def test_the_lower_end_on_masks_held_out_has_to_reach_the_target(last, reached):
    assert last.reaches(0.9) == reached


def test_one_line_says_what_was_spent_and_reached():
    first = Round(64, 0.8, 64, UNSURE)
    assert rounds_message([first, Round(96, 0.93, 1152, SURE)], 300, 0.9, 3600) == (
        "reached R² 0.930 [0.910, 0.960] on 300 masks held out (target 0.9 for its lower end) with "
        "1,152 of 3,600 answers under 96 masks in 2 rounds."
    )
    assert rounds_message([Round(300, 0.93, 300, UNSURE)], 300, 0.9) == (
        "spent all 300 of 300 masks in 1 round and measured R² 0.930 [0.860, 0.960] on 300 masks held out, "
        "below the target 0.9 for its lower end; hold out more masks for a narrower interval."
    )
    assert rounds_message([Round(300, 0.8, 300)], 300, 0.9) == (
        "spent all 300 of 300 masks in 1 round and expect R² 0.800, below the target 0.9."
    )
    assert rounds_message([Round(300, 0.8, 300)], 300, None) == (
        "spent 300 of 300 masks; R² 0.800 to expect."
    )
