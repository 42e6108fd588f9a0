"""analyses/real_circuits: areas from stored margins, matched circuits, and greater-than with one digit."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from spex_mech.pruning.circuit_curve import SIZES, areas

sys.path.insert(0, str(Path(__file__).parents[2] / "analyses" / "real_circuits"))
import circuit_questions
import circuit_summary


def line(method: str, margins: list[list[float]], split: int = 0) -> dict:
    return {"task": "t", "split": split, "method": method, "rows": 7, "margins": margins}


def test_faithfulness_is_counted_from_the_empty_model_to_the_whole():
    ends = line(circuit_summary.ENDS, [[4.0, 2.0], [-2.0, 0.0]])  # means 3 and -1
    made = line("ours", [[-1, -1], [1, 1], [3, 3], [5, 5], [3, 3]])
    f = circuit_summary.faithfulness(made, ends, np.arange(2))
    np.testing.assert_allclose(f, [0, 0, 0, 0, 0, 0.5, 1, 1.5, 1, 1])
    assert len(f) == len(SIZES) and circuit_summary.keeps(270) == (5, 13, 27, 54, 135)
    assert areas(f, np.array(SIZES))[1] < 1


def test_the_table_has_paired_gains_and_the_measured_areas():
    rng = np.random.default_rng(0)
    lines = []
    for split in (0, 1):
        noise = rng.normal(size=6)
        lines.append(
            line(circuit_summary.ENDS, [(4 + noise).tolist(), (noise - 4).tolist()], split)
        )
        for method, level in (("ours", 4.0), ("ours, matched", 4.0), ("NAP-IG", 0.0)):
            lines.append(line(method, [(level + noise).tolist()] * 5, split))
    ours, rival = (circuit_summary.drawn(lines, "t", m) for m in ("ours", "NAP-IG"))
    np.testing.assert_allclose(ours[:, 5:], 1)
    np.testing.assert_allclose(rival[0, 5:9], 0.5)
    text = circuit_summary.table(lines)
    assert "### t, 2 splits" in text
    gain = areas(ours, np.array(SIZES))[0] - areas(rival, np.array(SIZES))[0]
    assert "| NAP-IG | 2 | 7 | " in text and f"{gain[0]:+.2f} [" in text
    assert len(circuit_summary.figure(lines).axes) == 1


def test_greater_than_asks_for_the_digit_that_decides():
    task = circuit_questions.load("greater_than")
    for x in task.examples:
        words = x.prompt.split()
        century, year = words[-1], words[-5]
        assert year[:2] == century and x.options[1] < year[2] < x.options[0] and x.answer == 0
        assert x.partners and all(p.prompt.split()[-5][2] == "0" for p in x.partners)
    assert len(task.select("test")) > 24


@pytest.mark.parametrize("name", ["ioi", "agreement"])
def test_every_question_has_a_partner(name):
    assert all(x.partners for x in circuit_questions.load(name).examples)
