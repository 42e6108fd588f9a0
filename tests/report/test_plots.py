"""Figures show the numbers they are given."""

from __future__ import annotations

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.core.estimates import Estimate
from spex_mech.core.players import ModelShape, select_players
from spex_mech.report import plots


class Shaped:
    shape = ModelShape(n_layers=3, n_heads=4, n_kv_heads=2)


PLAYERS = select_players(Shaped(), "heads mlps:1-2")
SPECTRUM = sm.Spectrum.from_supports(
    [(0,), (5,), (13,), (0, 5), (2, 13), (1, 2, 3)], [1.0, -2.0, 0.5, 0.75, -0.25, 0.1], PLAYERS.n
)
SINGLES = sm.interactions(SPECTRUM, "Banzhaf", 1)
PAIRS = sm.interactions(SPECTRUM, "FBII", 2)


def test_the_head_map_has_every_player_in_its_place():
    figure = plots.head_map(SINGLES, PAIRS, PLAYERS)
    axes = figure.axes[0]
    grid = np.ma.filled(axes.images[0].get_array(), np.nan)
    assert grid.shape == (3, 5)  # four heads and the MLP
    for i, player in enumerate(PLAYERS):
        column = 4 if player.kind == "mlp" else player.index
        assert grid[player.layer, column] == pytest.approx(SINGLES.values.get((i,), 0.0))
    assert np.isnan(grid[0, 4])  # the first layer's MLP is no player
    assert [t.get_text() for t in axes.get_xticklabels()][-1] == "MLP"
    arcs = [t for t in axes.texts if t.get_text() == ""]
    assert len(arcs) == sum(len(s) == 2 for s in PAIRS.values)


def test_a_deep_model_lies_on_its_side_and_one_strong_head_does_not_hide_the_others():
    class Deep:
        shape = ModelShape(n_layers=30, n_heads=9, n_kv_heads=3)

    players = select_players(Deep(), "heads")
    effects = np.random.default_rng(0).normal(scale=0.1, size=players.n)
    effects[players.index("L24H4")] = 5.0
    spectrum = sm.Spectrum.from_supports([(i,) for i in range(players.n)], effects, players.n)
    singles = sm.interactions(spectrum, "Banzhaf", 1)
    axes = plots.head_map(singles, sm.interactions(spectrum, "FBII", 2), players).axes[0]
    grid = np.ma.filled(axes.images[0].get_array(), np.nan)
    assert grid.shape == (9, 30)
    for i, player in enumerate(players):
        assert grid[player.index, player.layer] == pytest.approx(singles.values[(i,)])
    assert axes.get_xlabel() == "layer" and len(axes.get_xticks()) == 30
    assert axes.images[0].norm.vmax < 0.2 * np.abs(grid).max()
    assert 0 < sum(t.get_text() != "" for t in axes.texts) < players.n
    assert axes.figure.get_figwidth() <= 10.7  # as wide as the page, where 6 points can be read


def test_a_map_that_the_page_must_shrink_has_no_numbers():
    class Deeper:
        shape = ModelShape(n_layers=80, n_heads=8, n_kv_heads=8)

    players = select_players(Deeper(), "heads")
    spectrum = sm.Spectrum.from_supports([(0,), (9,)], [1.0, -1.0], players.n)
    singles = sm.interactions(spectrum, "Banzhaf", 1)
    axes = plots.head_map(singles, sm.interactions(spectrum, "FBII", 2), players).axes[0]
    assert len(axes.texts) == 0


def test_a_head_map_needs_parts_of_a_model():
    names = sm.PlayerSet.from_names(f"p{i}" for i in range(PLAYERS.n))
    with pytest.raises(ValueError, match="plot top_interactions instead"):
        plots.head_map(SINGLES, PAIRS, names)


def test_bars_are_the_strongest_interactions():
    axes = plots.top_interactions(PAIRS, PLAYERS, k=2).axes[0]
    widths = [bar.get_width() for bar in axes.patches][::-1]
    assert widths == pytest.approx([value for _, value in PAIRS.joint(2)])
    labels = [t.get_text() for t in axes.get_yticklabels()][::-1]
    assert labels == [PLAYERS.label(s) for s, _ in PAIRS.joint(2)]


def test_whiskers_are_standard_deviations():
    std = {s: 0.1 + 0.01 * i for i, s in enumerate(PAIRS.values)}
    known = sm.Interactions(
        PAIRS.index, 2, PAIRS.n, PAIRS.values, 0.0, lambda: np.array(list(std.values()))
    )
    axes = plots.top_interactions(known, PLAYERS, k=2).axes[0]
    ends = np.array([segment[:, 0] for segment in axes.collections[0].get_segments()])
    strongest = known.joint(2)[::-1]
    np.testing.assert_allclose(ends, [[v - std[s], v + std[s]] for s, v in strongest])
    assert "whiskers" in axes.get_xlabel()


def test_the_matrix_has_pairs_beside_the_effects_of_those_that_take_part():
    figure = plots.interaction_matrix(SINGLES, PAIRS, PLAYERS, k=4)
    axes = figure.axes[0]
    grid = np.asarray(axes.images[0].get_array())
    names = [t.get_text() for t in axes.get_yticklabels()]
    assert len(names) == 4 and {"L0H0", "L1H1"} <= set(names)
    for a, first in enumerate(names):
        for b, second in enumerate(names):
            i, j = sorted((PLAYERS.index(first), PLAYERS.index(second)))
            source = SINGLES.values.get((i,), 0.0) if i == j else PAIRS.values.get((i, j), 0.0)
            assert grid[a, b] == pytest.approx(source)
    assert "4 of 14 players" in axes.get_title(loc="left")


def test_no_interaction_is_said_in_words():
    singles = sm.interactions(sm.Spectrum.from_supports([(0,)], [1.0], PLAYERS.n), "FBII", 2)
    axes = plots.top_interactions(singles, PLAYERS).axes[0]
    assert "no interaction" in axes.texts[0].get_text()


def test_the_pruning_curve_has_means_and_intervals():
    def at(mean: float) -> Estimate:
        return Estimate(mean, mean - 0.05, mean + 0.03, 100, 0.95)

    curves = {"ours": {8: at(0.9), 4: at(0.8)}, "other": {8: at(0.7), 4: at(0.6)}}
    axes = plots.pruning_curve(curves, full=at(0.95), n=14, label="accuracy", chance=0.25).axes[0]
    drawn = {c.get_label(): c for c in axes.containers}
    for method, points in curves.items():
        line, _, (bars,) = drawn[method]
        np.testing.assert_allclose(line.get_ydata(), [points[4].mean, points[8].mean])
        low_high = np.array([segment[:, 1] for segment in bars.get_segments()])
        np.testing.assert_allclose(low_high, [[points[k].low, points[k].high] for k in (4, 8)])
    assert {line.get_label() for line in axes.lines} >= {"full model (14 players)", "chance"}


def test_pilot_shades_the_keep_rates():
    present, values = np.array([1.0, 0.0, 0.8]), np.array([4.0, -0.5, 1.0])
    axes = plots.pilot_values(present, values, (0.6, 0.95)).axes[0]
    np.testing.assert_allclose(
        axes.collections[0].get_offsets(), np.stack([present, values], axis=1)
    )
    shaded = axes.patches[0]
    assert shaded.get_x() == pytest.approx(0.6)
    assert shaded.get_width() == pytest.approx(0.35)


def test_fidelity_scatters_predicted_against_measured():
    predicted, measured = np.array([0.1, 0.5, 0.9]), np.array([0.2, 0.4, 1.0])
    r2 = Estimate(0.876, 0.5, 0.99, 3, 0.95)
    axes = plots.fidelity(predicted, measured, r2=r2).axes[0]
    points = np.asarray(axes.collections[0].get_offsets())
    np.testing.assert_allclose(points, np.stack([predicted, measured], axis=1))
    assert "3 held-out masks, R² = 0.876 [0.500, 0.990]" in axes.get_title(loc="left")
