"""Bootstrap of ratios and of many tests, against closed forms and loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spex_mech.core.estimates import Estimate, bootstrap_mean, means_of, ratio_of_means
from spex_mech.core.significance import holm, sign_tests


def test_many_means_are_those_of_one_by_one():
    values = np.random.default_rng(0).normal(size=(40, 3))
    for found, column in zip(means_of(values, seed=3), values.T, strict=True):
        alone = bootstrap_mean(column, seed=3)
        assert found.n == 40 and found.mean == pytest.approx(alone.mean)
        assert (found.low, found.high) == pytest.approx((alone.low, alone.high))


def test_a_single_exact_value_is_its_own_interval():
    assert means_of(np.array([[2.5, -1.0]]), seed=0) == [
        Estimate(2.5, 2.5, 2.5, 1, 0.95),
        Estimate(-1.0, -1.0, -1.0, 1, 0.95),
    ]


def test_a_ratio_has_the_interval_of_the_delta_method():
    rng = np.random.default_rng(0)
    bottom = 4 + rng.normal(size=400)
    top = 0.5 * bottom + rng.normal(size=400)
    found = ratio_of_means(top, bottom, seed=1)
    assert found is not None and found.n == 400
    assert found.mean == pytest.approx(top.mean() / bottom.mean())
    # var(ratio) = var(top - ratio * bottom) / (n mean(bottom)^2)
    se = np.std(top - found.mean * bottom) / np.sqrt(400) / bottom.mean()
    assert found.high - found.low == pytest.approx(2 * 1.96 * se, rel=0.06)


def test_a_ratio_over_what_could_be_nothing_is_not_given():
    bottom = np.array([-1.0, 1.0, -2.0, 2.5])
    assert ratio_of_means(np.ones(4), bottom, seed=0) is None
    assert ratio_of_means(np.array([1.0]), np.array([0.0]), seed=0) is None
    assert ratio_of_means(np.array([1.0]), np.array([4.0]), seed=0) == Estimate(
        0.25, 0.25, 0.25, 1, 0.95
    )


def test_p_values_are_those_of_a_loop():
    rng = np.random.default_rng(2)
    differences = rng.normal([0.0, 0.2, 0.5], size=(60, 3))
    found = sign_tests(differences, seed=0)
    for column, p in zip(differences.T, found, strict=True):
        means = np.array([rng.choice(column, 60).mean() for _ in range(20_000)])
        loop = 2 * min((means <= 0).mean(), (means >= 0).mean())
        assert p == pytest.approx(min(1.0, loop), abs=0.035)  # four standard errors of the draws


def test_certain_differences_have_the_smallest_p_and_none_has_the_largest():
    differences = np.stack([np.ones(30), np.zeros(30), -np.ones(30)], axis=1)
    np.testing.assert_allclose(
        sign_tests(differences, seed=0), [2 / 10_001, 1.0, 2 / 10_001], rtol=1e-12
    )
    # With many tests there are enough draws for a corrected p below 5 %.
    many = sign_tests(np.ones((30, 1)), seed=0, tests=500)
    assert 500 * many[0] < 0.05
    np.testing.assert_array_equal(sign_tests(np.array([[3.0, 0.0]]), seed=0), [0.0, 1.0])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_by_its_definition(given_p):
    p = np.array(given_p)
    order = sorted(range(len(p)), key=lambda i: p[i])
    expected = np.empty(len(p))
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, (len(p) - rank) * p[i])
        expected[i] = min(1.0, largest)
    np.testing.assert_allclose(holm(p), expected)
