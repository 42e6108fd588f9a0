"""Kernel, likelihood and posterior of the Walsh-kernel Gaussian process."""

from dataclasses import replace

import numpy as np
import pytest

from spex_mech import designs
from spex_mech.core.errors import InputError
from spex_mech.core.masks import all_masks
from spex_mech.decoders.gp.kernel import WalshKernel, signs
from spex_mech.decoders.gp.likelihood import Prior, factorise, learn, objective
from spex_mech.decoders.gp.posterior import condition
from spex_mech.decoders.samples import Samples


def random_prior(n, seed=0, noise=0.1):
    rng = np.random.default_rng(seed)
    a0, a1, a2 = rng.uniform(0.2, 2.0, size=3).tolist()
    return Prior(WalshKernel(rng.uniform(0.05, 0.9, size=n), a0, a1, a2), noise)


def data(m, n, seed=0):
    rng = np.random.default_rng(seed)
    masks = all_masks(n)[rng.choice(1 << n, m, replace=False)]
    return masks, rng.normal(size=m), rng.integers(1, 4, size=m).astype(float)


def test_kernel_is_its_formula():
    kernel = random_prior(5).kernel
    masks = all_masks(5)
    s = 1.0 - 2.0 * masks
    u = np.einsum("i,ji,ki->jk", kernel.theta, s, s)
    total = kernel.theta.sum()
    expected = kernel.constant + kernel.linear * u + kernel.product * np.exp(u - total)
    np.testing.assert_allclose(kernel(signs(masks), signs(masks)), expected, rtol=1e-12)
    np.testing.assert_allclose(np.diagonal(expected), kernel.variance, rtol=1e-12)


def test_gradient_is_that_of_finite_differences():
    masks, values, counts = data(40, 6)
    for seed in range(3):
        logs = np.random.default_rng(seed).normal(-1.0, 0.5, size=10)
        slope = objective(logs, signs(masks), values, counts)[1]
        steps = 1e-5 * np.eye(10)
        up = [objective(logs + e, signs(masks), values, counts)[0] for e in steps]
        down = [objective(logs - e, signs(masks), values, counts)[0] for e in steps]
        np.testing.assert_allclose(slope, np.subtract(up, down) / 2e-5, rtol=1e-6, atol=1e-6)


def test_objective_in_single_precision_is_near_that_in_double():
    masks, values, counts = data(600, 10)
    logs, s = random_prior(10).pack(), signs(masks)
    loss, slope = objective(logs, s, values, counts)
    single = objective(logs, s.astype(np.float32), values, counts)
    assert single[0] == pytest.approx(loss, rel=1e-4) and slope.dtype == single[1].dtype
    np.testing.assert_allclose(single[1], slope, rtol=1e-3, atol=1e-4 * np.abs(slope).max())


def test_many_rows_learnt_in_single_precision_are_as_likely(monkeypatch):
    rng = np.random.default_rng(0)
    masks = rng.random((1000, 20)) < 0.5
    s, counts = signs(masks), np.ones(1000)
    values = s[:, 0] * s[:, 1] + s[:, 2] + 0.1 * rng.normal(size=1000)
    values = (values - values.mean()) / values.std()
    single = learn(s, values, counts, Prior.start(20), iterations=15)
    monkeypatch.setattr("spex_mech.decoders.gp.likelihood._SINGLE_ROWS", 1001)
    double = learn(s, values, counts, Prior.start(20), iterations=15)
    losses = [objective(found.pack(), s, values, counts)[0] for found in (single, double)]
    start = objective(Prior.start(20).pack(), s, values, counts)[0]
    assert abs(losses[0] - losses[1]) < 0.01 * (start - losses[1])
    assert single.pack() != pytest.approx(double.pack(), rel=1e-12)  # the switch is at 1000


def test_objective_is_the_normal_density_and_its_penalties():
    from scipy.stats import multivariate_normal

    masks, values, counts = data(20, 5)
    prior = random_prior(5)
    kernel = prior.kernel
    cov = kernel(signs(masks), signs(masks)) + np.diag(prior.noise / counts)
    expected = -multivariate_normal(np.zeros(20), cov).logpdf(values) - 10 * np.log(2 * np.pi)
    logs = np.log(kernel.theta)
    expected += 2 * ((logs - logs.mean()) ** 2).sum() + 2 * (np.log(prior.noise) + 2) ** 2
    amplitudes = np.log([kernel.constant, kernel.linear, kernel.product])
    expected += 0.05 * ((amplitudes - np.log(0.3)) ** 2).sum()
    found = objective(prior.pack(), signs(masks), values, counts)[0]
    assert found == pytest.approx(expected, rel=1e-10)


def test_gradient_of_more_masks_than_a_block_is_that_of_whole_matrices():
    masks, values, counts = data(600, 10)
    prior, s = random_prior(10), signs(masks)
    kernel = prior.kernel
    inverse = np.linalg.inv(kernel(s, s) + np.diag(prior.noise / counts))
    alpha = inverse @ values
    inner, product = kernel.parts(s, s)
    outside = 0.5 * (inverse - np.outer(alpha, alpha))
    penalty = objective(prior.pack(), s, values, counts, tie=0.0)[1] - [
        *(
            theta * np.sum(outside * (product + kernel.linear) * np.outer(s[:, i], s[:, i]))
            - theta * np.sum(outside * product)
            for i, theta in enumerate(kernel.theta)
        ),
        np.sum(np.diagonal(outside) * prior.noise / counts),
        kernel.constant * outside.sum(),
        kernel.linear * np.sum(outside * inner),
        np.sum(outside * product),
    ]
    logs = prior.pack()
    np.testing.assert_allclose(penalty[:10], 0.0, atol=1e-7)
    np.testing.assert_allclose(penalty[10], 4.0 * (logs[10] + 2.0), atol=1e-7)
    np.testing.assert_allclose(penalty[11:], 0.1 * (logs[11:] - np.log(0.3)), atol=1e-7)


def test_learning_finds_the_players_that_matter():
    masks = designs.uniform(10, 200, seed=0).masks
    s = signs(masks)
    values = s[:, 2] + s[:, 2] * s[:, 7]
    prior = learn(s, values / values.std(), np.ones(200), Prior.start(10), iterations=60)
    assert set(np.argsort(-prior.kernel.theta)[:2].tolist()) == {2, 7}
    assert prior.noise == pytest.approx(np.exp(-6.0))


def test_posterior_is_that_of_scikit_learn():
    gaussian_process = pytest.importorskip("sklearn.gaussian_process")
    kernels = gaussian_process.kernels
    n = 8
    masks, values, counts = data(60, n)
    theta = np.random.default_rng(2).uniform(0.05, 0.5, size=n)
    # |s - s'|^2 = 4 on each differing player: exp(u - sum theta) is a squared exponential.
    rbf = kernels.RBF(1.0 / np.sqrt(theta), "fixed")
    equivalent = kernels.ConstantKernel(0.7) + kernels.ConstantKernel(1.3) * rbf
    peer = gaussian_process.GaussianProcessRegressor(
        equivalent, alpha=0.2 / counts, optimizer=None
    ).fit(signs(masks), values)
    prior = Prior(WalshKernel(theta, 0.7, 0.0, 1.3), 0.2)
    ours = condition(prior, Samples(masks, values, counts), shift=0.0, scale=1.0)
    mean, std = peer.predict(signs(all_masks(n)), return_std=True)
    np.testing.assert_allclose(ours(all_masks(n)), mean, atol=1e-10)
    ours = replace(ours, inflation=1.0)
    np.testing.assert_allclose(ours.std(all_masks(n), noise=False), std, atol=1e-8)
    np.testing.assert_allclose(ours.std(all_masks(n)), np.hypot(std, np.sqrt(0.2)), atol=1e-8)


def test_shift_and_scale_and_batches():
    masks, values, counts = data(50, 8)
    prior = random_prior(8)
    ours = condition(prior, Samples(masks, 3 * values + 5, counts), shift=5.0, scale=3.0)
    kernel, s = prior.kernel, signs(masks)
    weights = np.linalg.solve(kernel(s, s) + np.diag(prior.noise / counts), values)
    expected = 5 + 3 * kernel(signs(all_masks(8)), s) @ weights
    np.testing.assert_allclose(ours(all_masks(8)), expected, atol=1e-10)
    parts = np.concatenate([ours(all_masks(8)[k : k + 7]) for k in range(0, 256, 7)])
    np.testing.assert_allclose(parts, expected, atol=1e-10)


def test_tiny_noise_interpolates():
    masks, values, counts = data(100, 8)
    ours = condition(
        random_prior(8, noise=1e-9), Samples(masks, values, counts), shift=0.0, scale=1.0
    )
    np.testing.assert_allclose(ours(masks), values, atol=1e-5)
    assert replace(ours, inflation=1.0).std(masks).max() < 1e-4
    assert ours.jitter == 0.0


def test_residuals_are_those_of_leaving_one_out():
    masks, values, counts = data(30, 6)
    prior = random_prior(6)
    ours = condition(prior, Samples(masks, values, counts), shift=0.0, scale=1.0)
    for j in (0, 11, 29):
        rest = np.arange(30) != j
        without = condition(
            prior, Samples(masks[rest], values[rest], counts[rest]), shift=0.0, scale=1.0
        )
        expected = values[j] - without(masks[j : j + 1])[0]
        assert ours.residuals[j] == pytest.approx(expected, abs=1e-10)


def test_inflation_is_the_size_of_the_leave_one_out_residuals():
    masks, values, counts = data(40, 6)
    prior = random_prior(6, noise=0.05)
    ours = condition(prior, Samples(masks, 4 * values, counts), shift=0.0, scale=2.0)
    ratios = []
    for j in range(40):
        rest = np.arange(40) != j
        without = condition(
            prior, Samples(masks[rest], 2 * values[rest], counts[rest]), shift=0.0, scale=1.0
        )
        spread = replace(without, inflation=1.0).std(masks[j : j + 1], noise=False)[0]
        expected = np.hypot(spread, np.sqrt(prior.noise / counts[j]))
        ratios.append((2 * values[j] - without(masks[j : j + 1])[0]) / expected)
    assert np.sqrt(np.mean(np.square(ratios))) > 1.0
    assert ours.inflation == pytest.approx(np.sqrt(np.mean(np.square(ratios))), rel=1e-9)
    tame = condition(prior, Samples(masks, 1e-3 * values, counts), shift=0.0, scale=1.0)
    assert tame.inflation == 1.0


def test_averaging_equal_masks_is_keeping_them_all():
    masks, _, counts = data(30, 6)
    prior, rng = random_prior(6), np.random.default_rng(1)
    rows = np.repeat(np.arange(30), counts.astype(int))
    values = rng.normal(size=len(rows))
    means = np.bincount(rows, weights=values) / counts
    ours = condition(prior, Samples(masks, means, counts), shift=0.0, scale=1.0)
    s = signs(masks[rows])
    weights = np.linalg.solve(prior.kernel(s, s) + prior.noise * np.eye(len(s)), values)
    expected = prior.kernel(signs(all_masks(6)), s) @ weights
    np.testing.assert_allclose(ours(all_masks(6)), expected, atol=1e-10)


def test_jitter_is_reported_and_bounded():
    low_rank = np.ones((4, 4))
    factor = factorise(low_rank - 1e-9 * np.eye(4))
    assert factor.jitter == 1e-8
    np.testing.assert_allclose(factor.lower @ factor.lower.T, low_rank, atol=2e-8)
    assert factorise(np.eye(3)).jitter == 0.0
    with pytest.raises(InputError, match="not positive definite"):
        factorise(-np.eye(3))
