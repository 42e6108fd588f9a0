"""The noise of a task: against closed forms, simulation and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from spex_mech.tasks.noise import accuracy_noise, expected_noise


def test_the_standard_error_is_that_of_the_sample():
    right = np.array([1, 0, 1, 1, 0, 1, 1, 1.0])
    noise = accuracy_noise(right)
    assert noise.standard_error == pytest.approx(stats.sem(right))
    interval = stats.binomtest(6, 8).proportion_ci(0.95, method="wilson")
    assert (noise.low, noise.high) == pytest.approx((interval.low, interval.high))


def test_the_published_test_questions_are_noisy():
    noise = expected_noise(111, 0.7)
    assert noise.standard_error == pytest.approx(0.0437, abs=1e-4)


@pytest.mark.parametrize(("n", "q"), [(111, 0.1), (400, 0.2), (2000, 0.05)])
def test_a_paired_difference_of_that_size_is_seen_four_times_out_of_five(n, q):
    d = expected_noise(n, 0.7, q).paired
    up, down = (q + d) / 2, (q - d) / 2
    rng = np.random.default_rng(0)
    counts = rng.multinomial(n, [up, down, 1 - q], size=20_000)
    difference = (counts[:, 0] - counts[:, 1]) / n
    error = np.sqrt((q - d**2) / n)
    assert np.mean(np.abs(difference) > stats.norm.ppf(0.975) * error) == pytest.approx(
        0.8, abs=0.025
    )


def test_an_unpaired_difference_of_that_size_is_seen_four_times_out_of_five():
    n, p = 2000, 0.6
    d = expected_noise(n, p).unpaired
    rng = np.random.default_rng(0)
    one, two = rng.binomial(n, p + d / 2, 20_000) / n, rng.binomial(n, p - d / 2, 20_000) / n
    error = np.sqrt(one * (1 - one) / n + two * (1 - two) / n)
    assert np.mean(np.abs(one - two) > stats.norm.ppf(0.975) * error) == pytest.approx(
        0.8, abs=0.02
    )


def test_few_questions_need_more_answers_to_change():
    """Where all changes together could not be seen, the difference is the share that would be."""
    noise = expected_noise(20, 0.7, 0.1)
    reach = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    d = noise.paired
    assert noise.discordant == d > 0.1
    assert d == pytest.approx(reach * np.sqrt((d - d**2) / 20))


def test_a_perfect_score_is_not_noiseless():
    noise = accuracy_noise(np.ones(30))
    assert noise.high == 1 and noise.low == pytest.approx(0.886, abs=1e-3)
    assert noise.unpaired > 0.1
    assert str(noise).startswith("30 questions, accuracy 1.000 ± 0.000 [0.886, 1.000]; can see")


def test_bad_noise():
    with pytest.raises(ValueError, match="one 0 or 1 per question, got shape"):
        accuracy_noise([0.5, 1])
    with pytest.raises(ValueError, match="at least 2 questions, got 1"):
        accuracy_noise([1])
    with pytest.raises(ValueError, match="shares from 0 to 1"):
        expected_noise(10, 1.5)
