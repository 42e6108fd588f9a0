"""The posterior of coefficients and indices against dense linear algebra."""

from dataclasses import replace

import numpy as np
import pytest

from spex_mech import designs
from spex_mech.core.errors import InputError
from spex_mech.core.index_functional import IndexFunctional
from spex_mech.core.interactions import interactions
from spex_mech.core.masks import all_masks
from spex_mech.core.packed import pack_supports
from spex_mech.core.spectrum import Spectrum
from spex_mech.core.transform import exact_spectrum, walsh_hadamard
from spex_mech.decoders.gp.decode import walsh_gp
from spex_mech.decoders.gp.kernel import WalshKernel, signs
from spex_mech.decoders.gp.likelihood import Prior
from spex_mech.decoders.gp.posterior import condition
from spex_mech.decoders.samples import Samples

N = 6
INDICES = ("Fourier", "Moebius", "Banzhaf", "Shapley", "BII", "SII", "STII", "FBII", "FSII")


def posterior(m=25, seed=0, n=N):
    rng = np.random.default_rng(seed)
    kernel = WalshKernel(rng.uniform(0.1, 0.9, size=n), 0.7, 0.4, 1.2)
    masks = np.unique(rng.random((4 * m, n)) < 0.5, axis=0)
    masks = masks[rng.choice(len(masks), m, replace=False)]
    values, counts = 3 * rng.normal(size=m) + 2, rng.integers(1, 4, size=m).astype(float)
    return condition(Prior(kernel, 0.1), Samples(masks, values, counts), shift=2.0, scale=3.0)


def dense(gp):
    """Posterior mean and covariance of f at all 2^n coalitions, by the textbook."""
    everything, seen = signs(all_masks(N)), signs(gp.masks)
    cross = gp.kernel(everything, seen)
    inverse = np.linalg.inv(gp.kernel(seen, seen) + np.diag(gp.noise / gp.counts))
    cov = gp.kernel(everything, everything) - cross @ inverse @ cross.T
    return gp(all_masks(N)), cov * (gp.scale * gp.inflation) ** 2


def index_matrix(index, order):
    """The index as a matrix: from the 2^n values to its sets."""
    everything = {}
    for j in range(1 << N):
        table = interactions(exact_spectrum(np.eye(1 << N)[j]), index, order).values
        for players, value in table.items():
            everything.setdefault(players, np.zeros(1 << N))[j] = value
    return everything


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_every_index_has_the_moments_of_a_linear_function_of_the_values(index, order):
    gp = posterior()
    mean, cov = dense(gp)
    table = exact_spectrum(mean)
    spectrum = Spectrum(table.words, table.coefficients, N, {}, gp)
    found = interactions(spectrum, index, order, terms="readout")
    rows = index_matrix(index, order)
    assert set(found.std) == set(found.values)
    for players, std in found.std.items():
        assert found.values[players] == pytest.approx(rows[players] @ mean, abs=1e-9)
        expected = np.sqrt(rows[players] @ cov @ rows[players])
        assert std == pytest.approx(expected, rel=1e-6), players
    whole = interactions(spectrum, index, order)
    assert whole.values == pytest.approx(found.values, abs=1e-9)
    assert whole.baseline == pytest.approx(found.baseline, abs=1e-9)
    assert whole.std == pytest.approx(found.std, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("index", INDICES)
def test_indices_of_many_players_are_the_moments_of_the_posterior(index):
    gp = posterior(n=80)
    functional = IndexFunctional(index, 3)
    sets = [(), (3,), (79,), (0, 1), (7, 64), (2, 5, 70)]
    words = pack_supports(sets[functional.first :], 80)
    expected, _ = gp.moments(words, functional.fourier)
    size = np.abs(expected).max()
    np.testing.assert_allclose(gp.index_values(words, functional), expected, atol=1e-9 * size)


@pytest.mark.parametrize(("index", "order"), [("Shapley", 1), ("SII", 2), ("FSII", 2), ("FBII", 2)])
def test_known_values_leave_the_deviation_of_all_others(index, order):
    """Against the posterior of smooth values plus independent ones, on all coalitions at once."""
    gp = posterior()
    gp = replace(gp, residuals=gp.inflation**2 / gp.alpha)  # as large at all sizes
    everything = signs(all_masks(N))
    prior = gp.kernel(everything, everything) + gp.noise * np.eye(1 << N)
    rows = gp.masks @ (1 << np.arange(N))
    cross = prior[:, rows]
    seen = gp.kernel(everything[rows], everything[rows]) + np.diag(gp.noise / gp.counts)
    cov = (prior - cross @ np.linalg.inv(seen) @ cross.T) * (gp.scale * gp.inflation) ** 2
    weights = index_matrix(index, order)
    sets = [s for s in weights if s]
    found = gp.index_std(pack_supports(sets, N), IndexFunctional(index, order))
    expected = [np.sqrt(weights[s] @ cov @ weights[s]) for s in sets]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(("index", "order"), [("Shapley", 1), ("SII", 2), ("FBII", 2)])
def test_masks_that_were_evaluated_beside_those_of_the_fit_are_known_too(index, order):
    gp = posterior()
    ends = np.array([[False] * N, [True] * N])
    inner = ~gp.masks.all(axis=1) & gp.masks.any(axis=1)
    kept = {"masks": gp.masks[inner], "counts": gp.counts[inner], "alpha": gp.alpha[inner]}
    without = replace(gp, **kept, residuals=gp.inflation**2 / gp.alpha[inner])
    both = replace(
        without,
        masks=np.concatenate([without.masks, ends]),
        counts=np.append(without.counts, [1.0, 1.0]),
        alpha=np.append(without.alpha, [0.0, 0.0]),
    )
    sets = pack_supports([s for s in index_matrix(index, order) if s], N)
    functional = IndexFunctional(index, order)
    known = without.index_std(sets, functional, ends)
    expected = gp.scale * gp.inflation * np.sqrt(both._index_variances(sets, functional))
    np.testing.assert_allclose(known, expected)
    assert (known < without.index_std(sets, functional)).all()
    seen = without.index_std(sets, functional, without.masks[:3])  # which are no news
    np.testing.assert_array_equal(seen, without.index_std(sets, functional))


def test_a_truncated_readout_counts_what_it_left_out():
    gp = posterior()
    mean, cov = dense(gp)
    table = exact_spectrum(mean)
    kept = table.truncate(5)
    spectrum = Spectrum(kept.words, kept.coefficients, N, {}, gp)
    rows = index_matrix("Shapley", 1)
    found = interactions(spectrum, "Shapley", terms="readout")
    for players, std in found.std.items():
        value = found.values[players]
        variance = rows[players] @ cov @ rows[players]
        expected = np.sqrt(variance + (rows[players] @ mean - value) ** 2)
        assert std == pytest.approx(expected, rel=1e-6)


def test_coefficients_of_a_decoded_game():
    design = designs.uniform(N, 40, seed=1)
    values = np.random.default_rng(2).normal(size=1 << N)[design.masks @ (1 << np.arange(N))]
    spectrum = walsh_gp(design, values, terms=63)
    mean, cov = dense(spectrum.predictor)
    coefficients = walsh_hadamard(mean) / 64
    transform = np.array([walsh_hadamard(row) / 64 for row in np.eye(64)])
    for support, coefficient, std in zip(
        spectrum.supports, spectrum.coefficients, spectrum.std, strict=True
    ):
        row = sum(1 << i for i in support)
        assert coefficient == pytest.approx(coefficients[row], abs=1e-9)
        assert std == pytest.approx(np.sqrt(transform[row] @ cov @ transform[row]), rel=1e-6)


def test_sets_are_the_same_one_by_one_and_together():
    gp = posterior(n=80)
    rng = np.random.default_rng(3)
    sets = [
        (),
        *(tuple(sorted(rng.choice(80, k, replace=False).tolist())) for k in (1, 1, 2, 3, 5)),
    ]
    words = Spectrum.from_supports(sets, np.ones(6), 80).words

    def shapley_like(s, t):
        return (-1.0) ** s / (s - t + 1)

    mean, std = gp.moments(words, shapley_like)
    for k in range(6):
        one_mean, one_std = gp.moments(words[k : k + 1], shapley_like)
        assert mean[k] == pytest.approx(one_mean[0], rel=1e-10)
        assert std[k] == pytest.approx(one_std[0], rel=1e-10)


def test_predictions_have_the_noise_of_an_evaluation():
    gp = posterior()
    _, cov = dense(gp)
    spectrum = Spectrum.from_supports([(0,)], [1.0], N)
    spectrum = Spectrum(spectrum.words, spectrum.coefficients, N, {}, gp)
    noise = gp.noise * (gp.scale * gp.inflation) ** 2
    expected = np.sqrt(np.diag(cov) + noise)
    np.testing.assert_allclose(spectrum.predict_std(all_masks(N)), expected, rtol=1e-6)


def test_a_spectrum_without_a_posterior_has_no_deviations():
    spectrum = exact_spectrum(np.arange(8.0))
    assert spectrum.std is None
    assert interactions(spectrum, "Shapley").std is None
    with pytest.raises(InputError, match="no posterior"):
        spectrum.predict_std(all_masks(3))
