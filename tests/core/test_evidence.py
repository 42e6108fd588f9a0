"""What evaluated masks add to a model's indices, against the tables of small games."""

from itertools import combinations

import numpy as np
import pytest

from spex_mech import designs
from spex_mech.core.evidence import Evidence, size_weights
from spex_mech.core.index_functional import IndexFunctional
from spex_mech.core.index_values import table_index_values
from spex_mech.core.masks import all_masks
from spex_mech.core.packed import pack_players

N = 8
INDICES = ("Fourier", "Moebius", "SII", "BII", "STII", "FSII", "FBII")


def sets(size, n=N):
    return pack_players(
        np.array(list(combinations(range(n), size)), dtype=int).reshape(-1, size), n
    )


def rows_of(masks):
    return masks @ (1 << np.arange(masks.shape[1]))


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_known_values_take_the_place_of_predictions(index, size):
    truth, model = np.random.default_rng(0).normal(size=(2, 1 << N))
    masks = designs.uniform(N, 60, seed=1).masks
    rows, functional = rows_of(masks), IndexFunctional(index, 3)
    patched = model.copy()
    patched[rows] = truth[rows]
    expected = table_index_values(patched - model, sets(size), functional)
    evidence = Evidence(masks, truth[rows] - model[rows], alike=False)
    found = evidence.correction(sets(size), functional)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("index", INDICES)
def test_with_all_masks_the_index_is_that_of_the_game(index):
    residuals = np.random.default_rng(3).normal(size=1 << N)
    functional = IndexFunctional(index, 2)
    evidence = Evidence(all_masks(N), residuals, alike=True)
    for size in (1, 2):
        expected = table_index_values(residuals, sets(size), functional)
        np.testing.assert_allclose(
            evidence.correction(sets(size), functional), expected, atol=1e-11
        )


@pytest.mark.parametrize(("index", "order"), [("Shapley", 1), ("STII", 2), ("FSII", 2)])
def test_values_sum_to_what_was_evaluated(index, order):
    truth = np.random.default_rng(5).normal(size=1 << N) + all_masks(N).sum(axis=1)
    masks = designs.leverage(N, 50, seed=0).masks
    evidence = Evidence(masks, truth[rows_of(masks)], alike=True)  # of a model that predicts 0
    functional = IndexFunctional(index, order)
    found = [evidence.correction(sets(k + 1), functional).sum() for k in range(order)]
    assert sum(found) == pytest.approx(truth[-1] - truth[0])


def squared_errors(table, masks, index, order):
    """Of the index of a game by a model that predicts 0, with its known values only and with reuse."""
    functional, words = IndexFunctional(index, order), sets(order, masks.shape[1])
    true = table_index_values(table, words, functional)
    found = [
        Evidence(masks, table[rows_of(masks)], alike).correction(words, functional)
        for alike in (False, True)
    ]
    return [np.sum((values - true) ** 2) for values in found]


@pytest.mark.parametrize(
    ("index", "order", "n", "m"),
    [("Shapley", 1, 10, 120), ("SII", 2, 10, 120), ("Banzhaf", 1, 10, 120), ("Banzhaf", 1, 12, 80)],
)
def test_residuals_of_pure_noise_are_hardly_ever_reused(index, order, n, m):
    rng, errors = np.random.default_rng(7), []
    for seed in range(60):
        draw = rng.normal if seed % 2 else lambda size: rng.standard_t(3, size=size)
        masks = designs.leverage(n, m, seed=seed).masks
        errors.append(squared_errors(draw(size=1 << n), masks, index, order))
    known, reused = np.mean(errors, axis=0)
    assert reused < 1.05 * known


@pytest.mark.parametrize(("index", "order", "share"), [("Shapley", 1, 0.3), ("SII", 2, 0.8)])
def test_residuals_that_say_something_about_the_others_are_reused(index, order, share):
    """A model that lacks what players and pairs do gets it back, in the midst of noise."""
    rng, errors = np.random.default_rng(7), []
    players = all_masks(10).astype(float)
    signal = 2.0 * players[:, 0] - players[:, 3] + 4.0 * players[:, 1] * players[:, 2]
    for seed in range(20):
        masks = designs.leverage(10, 200, seed=seed).masks
        table = signal + 0.3 * rng.normal(size=1 << 10)
        errors.append(squared_errors(table, masks, index, order))
    known, reused = np.mean(errors, axis=0)
    assert reused < share * known


@pytest.mark.parametrize(("index", "order"), [("Shapley", 1), ("SII", 2), ("FBII", 2)])
def test_an_end_that_was_not_evaluated_may_be_as_far_off_as_the_values_range(index, order):
    functional, span = IndexFunctional(index, order), 3.0
    inner, tables = all_masks(N)[1:-1], np.zeros((2, 1 << N))
    tables[0, 0] = tables[1, -1] = span
    off = [table_index_values(table, sets(order), functional) for table in tables]
    unseen = Evidence(inner, np.zeros(len(inner)), alike=True, span=span)
    np.testing.assert_allclose(unseen.of_unseen_ends(sets(order), functional), np.hypot(*off))
    one = Evidence(all_masks(N)[:-1], np.zeros((1 << N) - 1), alike=True, span=span)
    np.testing.assert_allclose(one.of_unseen_ends(sets(order), functional), np.abs(off[1]))
    both = Evidence(all_masks(N), np.zeros(1 << N), alike=True, span=span)
    assert not both.of_unseen_ends(sets(order), functional).any()
    assert len(both.ends) == 2 and len(one.ends) == 1 and len(unseen.ends) == 0


def test_weights_of_many_players_are_finite_and_those_of_the_definition():
    weights, logs = size_weights(400, 1, IndexFunctional("Shapley", 1))
    assert np.isfinite(weights).all()
    np.testing.assert_allclose(weights[1:, 1], 1 / 400, rtol=1e-9)
    np.testing.assert_allclose(weights[:-1, 0], -1 / 400, rtol=1e-9)
    assert np.isinf(logs[0, 1]) and logs[1, 1] == 0.0
