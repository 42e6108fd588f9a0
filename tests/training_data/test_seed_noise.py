from __future__ import annotations

import numpy as np
import pytest

from spex_mech.core.errors import InputError
from spex_mech.training_data import seed_noise


def test_variance_and_ceiling_of_known_noise():
    rng = np.random.default_rng(0)
    m, s = 4000, 4
    signal = rng.normal(scale=2.0, size=(m, 1, 1))
    per_seed = rng.normal(scale=3.0, size=(1, 1, s))  # alike for every mask: not noise
    noise = rng.normal(size=(m, 2, s)) * np.array([0.5, 2.0])[None, :, None]
    found = seed_noise(signal + per_seed + noise)
    np.testing.assert_allclose(found.variance, [0.25, 4.0], rtol=0.05)
    np.testing.assert_allclose(found.ceiling, [4 / (4 + 0.25 / 4), 4 / (4 + 4.0 / 4)], rtol=0.02)
    assert found.seeds == s


def test_equals_two_way_anova_by_hand():
    x = np.random.default_rng(1).normal(size=(5, 1, 3))
    table = x[:, 0]
    residual = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
    np.testing.assert_allclose(seed_noise(x).variance, (residual**2).sum() / (4 * 2))


def test_nothing_but_noise_leaves_no_ceiling():
    x = np.zeros((6, 1, 2))
    x[:, 0, 0], x[:, 0, 1] = np.arange(6), -np.arange(6)
    assert seed_noise(x).ceiling.tolist() == [0.0]


def test_one_seed_tells_nothing():
    with pytest.raises(InputError, match="seeds=2 or more"):
        seed_noise(np.zeros((6, 2, 1)))
