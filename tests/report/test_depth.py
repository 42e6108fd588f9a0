"""The figure of energies, and the section of a run's page."""

from __future__ import annotations

import numpy as np
import pytest

from spex_mech.core.energy import energy_by_layers, energy_by_order
from spex_mech.core.players import Player, PlayerSet
from spex_mech.core.spectrum import Spectrum
from spex_mech.report.plots import energy_map

HEADS = PlayerSet(tuple(Player(f"L{i // 2}H{i % 2}", "head", i // 2, i % 2) for i in range(8)))
TERMS = [(0,), (0, 1), (1, 2, 4), (0, 1, 2, 3, 4, 5, 6), (0, 1, 2, 3, 4, 5, 6, 7)]
SPECTRUM = Spectrum.from_supports(TERMS, [3.0, 2.0, 1.0, 0.5, 0.5], 8)


def test_bars_and_map_show_the_shares_and_titles_fit():
    orders, layers = energy_by_order(SPECTRUM), energy_by_layers(SPECTRUM, HEADS)
    assert layers is not None
    figure = energy_map(orders, layers)
    left, right, _ = figure.axes
    heights = [bar.get_height() for bar in left.patches]
    total = 9 + 4 + 1 + 0.25 + 0.25
    assert heights == pytest.approx([9 / total, 4 / total, 1 / total, 0, 0, 0.5 / total])
    assert [t.get_text() for t in left.get_xticklabels()][-1] == "6+"
    drawn = right.images[0].get_array()
    np.testing.assert_allclose(drawn, layers.shares / layers.chance)
    figure.draw_without_rendering()
    for axes in (left, right):
        assert axes._left_title.get_window_extent().x1 <= figure.bbox.x1


def test_without_layers_there_are_bars_alone():
    figure = energy_map(energy_by_order(SPECTRUM), None)
    assert len(figure.axes) == 1 and len(figure.axes[0].patches) == 6
