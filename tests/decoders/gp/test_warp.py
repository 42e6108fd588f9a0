"""Warps of values and the link back."""

import numpy as np
import pytest
from scipy.stats import norm, rankdata

from spex_mech.decoders.gp.warp import Link, logistic, rank_gaussian
from spex_mech.decoders.samples import Samples


def data(values, counts=None):
    values = np.asarray(values, dtype=float)
    masks = np.zeros((len(values), 3), dtype=bool)
    return Samples(masks, values, np.ones(len(values)) if counts is None else np.asarray(counts))


def test_ranks_become_normal_quantiles():
    values = np.random.default_rng(0).exponential(size=50)
    values[:5] = values[5]
    warped = rank_gaussian(data(values)).values
    np.testing.assert_allclose(warped, norm.ppf((rankdata(values) - 0.5) / 50), atol=1e-12)


def test_counts_are_repetitions():
    values, counts = np.array([3.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0])
    repeated = rank_gaussian(data(np.repeat(values, counts.astype(int)))).values
    np.testing.assert_allclose(rank_gaussian(data(values, counts)).values, repeated[[0, 1, 3]])


def test_only_the_order_of_values_matters_to_ranks():
    values = np.random.default_rng(1).normal(size=30)
    np.testing.assert_allclose(
        rank_gaussian(data(values)).values, rank_gaussian(data(np.exp(values))).values
    )


def test_logistic_is_undone_by_its_inverse_and_weighs_by_its_slope():
    values = np.linspace(-2.0, 3.0, 21)
    warped = logistic(data(values))
    p = 1 / (1 + np.exp(-warped.values))
    np.testing.assert_allclose(-2.0 - 0.25 + 5.5 * p, values, atol=1e-12)
    np.testing.assert_allclose(
        warped.counts / warped.counts[10], np.maximum((p * (1 - p)) ** 2 * 16, 0.0), rtol=0.2
    )
    assert warped.counts.argmax() == 10


def test_values_that_do_not_differ_have_equal_latents():
    np.testing.assert_array_equal(logistic(data(np.ones(4))).values, 0.0)
    np.testing.assert_allclose(rank_gaussian(data(np.ones(4))).values, 0.0, atol=1e-12)


def test_link_recovers_a_smooth_function_and_stays_in_range():
    u = np.random.default_rng(2).normal(size=400)
    y = np.tanh(1.5 * u) + 0.2 * u**2
    link = Link.fit(3.0 * u + 7.0, y, np.ones(400))
    inside = np.linspace(-2, 2, 50)
    expected = np.tanh(1.5 * inside) + 0.2 * inside**2
    np.testing.assert_allclose(link(3.0 * inside + 7.0), expected, atol=0.05)
    far = link(np.array([-1e6, 1e6]))
    assert far.min() >= y.min() - 0.5 * y.std() and far.max() <= y.max() + 0.5 * y.std()


def test_link_of_latents_that_say_nothing_is_the_mean():
    y = np.random.default_rng(3).normal(size=30)
    link = Link.fit(np.full(30, 5.0), y, np.ones(30))
    assert link(np.array([5.0])) == pytest.approx(y.mean())


def test_counts_weigh_in_the_link():
    u = np.random.default_rng(4).normal(size=40)
    y, counts = np.sin(u), np.where(u > 0, 3.0, 1.0)
    once = Link.fit(
        np.repeat(u, counts.astype(int)),
        np.repeat(y, counts.astype(int)),
        np.ones(int(counts.sum())),
    )
    weighed = Link.fit(u, y, counts)
    np.testing.assert_allclose(weighed(u), once(u), atol=1e-9)
