"""Tree ensembles as spectra: against their own predictions and the exact transform."""

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st

from spex_mech.core.errors import InputError
from spex_mech.core.masks import all_masks
from spex_mech.core.transform import exact_spectrum
from spex_mech.decoders.trees import Forest, forest_spectrum, read_forest, tree_spectrum


def train(n, rounds, depth, seed=0, keep_rate=0.5, **params):
    rng = np.random.default_rng(seed)
    masks = rng.random((400, n)) < keep_rate
    signs = 1.0 - 2.0 * masks
    values = signs[:, 0] * signs[:, 1] - signs[:, 2] + 0.3 * rng.normal(size=400)
    data = xgb.DMatrix(masks.astype(np.float32), values / values.std())
    params = {"tree_method": "hist", "max_bin": 2, "max_depth": depth, "nthread": 1, **params}
    return xgb.train(params, data, rounds)


def predict(booster, masks):
    return booster.predict(xgb.DMatrix(masks.astype(np.float32)))


@pytest.mark.parametrize(
    ("n", "rounds", "depth", "keep_rate"),
    [(8, 40, 5, 0.5), (100, 40, 5, 0.5), (12, 5, 0, 0.5), (8, 40, 3, 0.85), (70, 1, 1, 0.5)],
)
def test_the_spectrum_equals_the_predictions(n, rounds, depth, keep_rate):
    booster = train(n, rounds, depth, keep_rate=keep_rate)
    masks = np.random.default_rng(1).random((500, n)) < 0.4
    found = tree_spectrum(booster, n)(masks)
    np.testing.assert_allclose(found, predict(booster, masks), atol=1e-6)


def test_it_is_the_exact_transform_of_the_predictions():
    booster = train(9, 20, 4, base_score=0.7)
    table = predict(booster, all_masks(9)).astype(float)
    exact, found = exact_spectrum(table), dict(tree_spectrum(booster, 9))
    assert max(len(s) for s in found) == 4
    for support, coefficient in exact:
        assert found.get(support, 0.0) == pytest.approx(coefficient, abs=1e-6)


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_a_random_forest_of_any_shape(seed):
    """Trees whose players may repeat on a path, against a walk down from the root."""
    rng = np.random.default_rng(seed)
    n, parents, present, players, leaves, values = 5, [], [], [], [], []

    def grow(parent, side, depth):
        node = len(parents)
        leaf = depth == 0 or rng.random() < 0.3
        parents.append(parent)
        present.append(side)
        players.append(int(rng.integers(n)))
        leaves.append(leaf)
        values.append(float(rng.normal()) if leaf else 0.0)
        if not leaf:
            grow(node, False, depth - 1)
            grow(node, True, depth - 1)

    roots = []
    for depth in (0, 2, 4):
        roots.append(len(parents))
        grow(-1, False, depth)
    forest = Forest(
        0.25, np.array(parents), np.array(leaves), np.array(values), np.array(players),
        np.array(present),
    )  # fmt: skip

    def walk(node, mask):
        while not leaves[node]:
            children = [k for k, p in enumerate(parents) if p == node]
            node = next(k for k in children if present[k] == mask[players[node]])
        return values[node]

    masks = all_masks(n)
    expected = [0.25 + sum(walk(root, mask) for root in roots) for mask in masks]
    np.testing.assert_allclose(forest_spectrum(forest, n)(masks), expected, atol=1e-12)


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_other_boosters_are_refused():
    data = xgb.DMatrix(np.eye(4, dtype=np.float32), np.arange(4.0))
    with pytest.raises(InputError, match="dart"):
        read_forest(xgb.train({"booster": "dart", "nthread": 1}, data, 1))
    wide = xgb.DMatrix(5.0 * np.arange(8, dtype=np.float32)[:, None], np.arange(8.0))
    booster = xgb.train({"nthread": 1, "min_child_weight": 0}, wide, 1)
    with pytest.raises(InputError, match="0/1 features"):
        read_forest(booster)
