"""How errors grow with the size of coalitions."""

from math import comb

import numpy as np
import pytest
from scipy.optimize import minimize

from spex_mech import designs
from spex_mech.core.index_functional import IndexFunctional
from spex_mech.core.interactions import interactions
from spex_mech.core.masks import all_masks
from spex_mech.core.packed import pack_supports
from spex_mech.core.transform import exact_spectrum
from spex_mech.decoders.decode import decode
from spex_mech.decoders.gp.sizes import growth, slopes_of

N = 8


def test_slopes_maximise_their_density():
    rng = np.random.default_rng(0)
    sizes = rng.integers(2, 12, size=150)
    squares = np.exp(0.3 * np.abs(sizes - 7)) * rng.normal(size=150) ** 2
    away = (sizes - 7) / 7

    def minus_log(b):
        logs = b[0] + b[1] * np.maximum(-away, 0) + b[2] * np.maximum(away, 0)
        return 0.5 * np.sum(logs + squares / np.exp(logs)) + (b[1] ** 2 + b[2] ** 2) / 8

    found = slopes_of(squares, sizes, 14)
    np.testing.assert_allclose(found, minimize(minus_log, np.zeros(3), tol=1e-12).x, atol=1e-3)
    assert found[1] > 0.5 and found[2] > 0.5
    flat = slopes_of(np.ones(150), sizes, 14)
    np.testing.assert_allclose(flat, 0.0, atol=1e-9)
    assert slopes_of(np.zeros(150), sizes, 14)[0] < -5.0  # residuals of 0 end, too


@pytest.mark.parametrize(("index", "size"), [("Shapley", 1), ("SII", 2), ("BII", 2)])
def test_growth_is_the_mean_trend_of_what_was_not_evaluated(index, size):
    functional, masks = (
        IndexFunctional(index, size),
        designs.uniform(N, 60, ends=True, seed=0).masks,
    )
    slopes = np.array([0.2, 1.5, 0.4])
    players = tuple(range(size))
    omega = np.array(
        [
            interactions(exact_spectrum(row), index, size).values.get(players, 0.0)
            for row in np.eye(1 << N)
        ]
    )
    sizes = all_masks(N).sum(axis=1)
    counts = np.bincount(masks.sum(axis=1), minlength=N + 1)
    left = np.array([1 - counts[s] / comb(N, s) for s in sizes]) * omega**2
    away = (sizes - N / 2) / (N / 2)
    trend = np.exp(0.2 + 1.5 * np.maximum(-away, 0) + 0.4 * np.maximum(away, 0))
    expected = np.sqrt(left @ trend / left.sum())
    assert growth(slopes, masks, size, functional) == pytest.approx(expected)
    assert growth(np.array([-9.0, 0.0, 0.0]), masks, size, functional) == 1.0
    assert growth(slopes, all_masks(N), size, functional) == 1.0


def test_many_players_have_a_growth():
    masks = designs.uniform(300, 50, ends=True, seed=0).masks
    for index in ("SII", "FBII"):
        found = growth(np.array([0.0, 1.0, 1.0]), masks, 2, IndexFunctional(index, 2))
        assert 1.0 <= found < np.e


def test_a_game_that_is_rough_at_small_coalitions_gets_wider_intervals():
    rng = np.random.default_rng(1)
    masks, n = all_masks(10), 10
    sizes = masks.sum(axis=1)
    table = masks @ np.arange(10.0) / 10 + rng.normal(size=1 << n) * np.exp(1.0 - 0.6 * sizes)
    design = designs.uniform(n, 200, ends=True, seed=2)
    found = decode(design, table[design.masks @ (1 << np.arange(n))], method="walsh_gp")
    truth = interactions(exact_spectrum(table), "Shapley").values
    shapley = interactions(found, "Shapley")
    errors = np.array([(shapley.values[s] - v) / shapley.std[s] for s, v in truth.items()])
    assert (np.abs(errors) < 1.96).mean() >= 0.8
    gp = found.predictor
    even = gp._index_variances(pack_supports(list(truth), n), IndexFunctional("Shapley", 1))
    plain = gp.scale * gp.inflation * np.sqrt(even)
    assert (np.array([shapley.std[s] for s in truth]) > 1.2 * plain).all()
