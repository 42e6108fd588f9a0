"""The heat map of interactions between players of two kinds."""

from __future__ import annotations

import numpy as np
import pytest

from spex_mech.core.errors import InputError
from spex_mech.report.plots import cross_map


@pytest.mark.parametrize("columns", [3, 60])
def test_the_strongest_columns_stand_in_order(columns):
    table = np.random.default_rng(0).normal(size=(4, columns)) * np.arange(1, columns + 1)
    names = [f"L{i}H0" for i in range(columns)]
    figure = cross_map(table, ["a", "b", "c", "$d$"], names)
    axes = figure.axes[0]
    drawn = [label.get_text() for label in axes.get_xticklabels()]
    kept = sorted(np.argsort(-np.abs(table).sum(axis=0))[:40].tolist())
    assert drawn == [names[i] for i in kept]
    np.testing.assert_allclose(axes.images[0].get_array(), table[:, kept])
    figure.draw_without_rendering()
    assert axes._left_title.get_window_extent().x1 <= figure.bbox.x1


def test_columns_without_interactions_are_left_out():
    table = np.array([[0.0, 2.0, 0.0], [0.0, -1.0, 0.5]])
    axes = cross_map(table, ["a", "b"], ["x", "y", "z"]).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["y", "z"]
    nothing = cross_map(np.zeros((2, 3)), ["a", "b"], ["x", "y", "z"]).axes[0]
    assert [label.get_text() for label in nothing.get_xticklabels()] == ["x"]


def test_names_must_fit():
    with pytest.raises(InputError, match=r"shape \(2, 3\), expected \(2, 2\)"):
        cross_map(np.zeros((2, 3)), ["a", "b"], ["x", "y"])
    with pytest.raises(InputError, match="at least one each"):
        cross_map(np.zeros((0, 2)), [], ["x", "y"])
