"""The map of parts and questions: what is drawn, in which order, and that its title fits."""

from __future__ import annotations

import numpy as np
import pytest

from spex_mech.decoders.per_question import QuestionEffects
from spex_mech.report.plots import question_map


@pytest.mark.parametrize("questions", [4, 60])
def test_columns_stand_in_order_and_the_title_fits(questions):
    rng = np.random.default_rng(0)
    table = rng.normal(size=(30, questions)) * np.arange(1, 31)[:, None]
    order = rng.permutation(questions)
    groups = np.zeros(questions, dtype=np.int64)
    groups[order[questions // 2 :]] = 1
    found = QuestionEffects(table, order, groups)
    figure = question_map(found, [f"p{i}" for i in range(30)], [f"q{j}" for j in range(questions)])
    axes = figure.axes[0]
    drawn = axes.images[0].get_array()
    # The 24 parts whose effects differ most are the last ones, whose scale is largest.
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert len(names) == 24
    rows = [int(name[1:]) for name in names]
    np.testing.assert_allclose(drawn, table[rows][:, order])
    assert len(axes.lines) == 1 and axes.lines[0].get_xdata()[0] == questions // 2 - 0.5
    if questions == 4:
        labels = [label.get_text() for label in axes.get_xticklabels()]
        assert labels == [f"q{j}" for j in order]
    figure.draw_without_rendering()
    assert axes.title.get_window_extent().width == 0  # titles stand on the left
    assert axes._left_title.get_window_extent().x1 <= figure.bbox.x1
