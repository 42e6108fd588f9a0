"""Fourier terms of a Walsh-kernel function: closed form, table and search."""

import numpy as np
import pytest

from spex_mech.core.masks import all_masks, pack
from spex_mech.core.packed import degrees
from spex_mech.core.spectrum import Spectrum
from spex_mech.core.transform import exact_spectrum
from spex_mech.decoders.gp.kernel import WalshKernel, signs
from spex_mech.decoders.gp.readout import read_out, walsh_table
from spex_mech.decoders.gp.search import search


def function(n, m, *, largest=0.4, seed=0):
    """A kernel, coalitions and weights."""
    rng = np.random.default_rng(seed)
    a0, a1, a2 = rng.uniform(0.2, 1.0, size=3).tolist()
    theta = rng.uniform(0.02, largest, size=n)
    masks = all_masks(n)[rng.choice(1 << n, m, replace=False)]
    return WalshKernel(theta, a0, a1, a2), signs(masks), rng.normal(size=m)


def terms(words, coefficients):
    return dict(zip(map(tuple, words.tolist()), coefficients.tolist(), strict=True))


def biased_terms(table, rates):
    """Brute force: E[f phi_S] under the product distribution, for every set S."""
    n = len(rates)
    masks = all_masks(n)
    density = np.where(masks, rates, 1 - rates).prod(axis=1)
    mean = 1 - 2 * rates
    phi = (signs(masks) - mean) / np.sqrt(1 - mean**2)
    basis = np.stack([phi[:, s].prod(axis=1) for s in masks])
    return basis @ (density * table)


@pytest.mark.parametrize("n", [1, 3, 8, 10])
def test_closed_form_is_the_transform_of_the_function(n):
    kernel, s, alpha = function(n, min(40, 1 << n))
    table = kernel(signs(all_masks(n)), s) @ alpha
    expected = np.zeros(1 << n)
    spectrum = exact_spectrum(table, tolerance=0.0)
    expected[spectrum.words[:, 0].astype(int)] = spectrum.coefficients
    np.testing.assert_allclose(walsh_table(kernel, s, alpha), expected, atol=1e-12)


@pytest.mark.parametrize("table_players", [20, 0])
@pytest.mark.parametrize("rate", [0.5, 0.85])
def test_all_terms_give_the_function_back(table_players, rate):
    kernel, s, alpha = function(6, 30)
    found = read_out(
        kernel, s, alpha, np.full(6, rate), terms=63, limit=1000, table_players=table_players
    )
    spectrum = Spectrum(found.words, found.coefficients, 6)
    expected = kernel(signs(all_masks(6)), s) @ alpha
    np.testing.assert_allclose(spectrum(all_masks(6)), expected, atol=1e-11)


@pytest.mark.parametrize("table_players", [20, 0])
def test_terms_are_ranked_in_the_basis_of_the_rates(table_players):
    kernel, s, alpha = function(8, 60, largest=0.8)
    rates = np.random.default_rng(1).uniform(0.3, 0.95, size=8)
    expected = biased_terms(kernel(signs(all_masks(8)), s) @ alpha, rates)
    found = read_out(kernel, s, alpha, rates, terms=20, limit=256, table_players=table_players)
    spectrum = Spectrum(found.words, found.coefficients, 8)
    kept = biased_terms(spectrum(all_masks(8)), rates)
    size = np.abs(expected[1:])
    best = np.append(0, 1 + np.argsort(-size)[:20])
    np.testing.assert_allclose(kept[best], expected[best], atol=1e-11)
    np.testing.assert_allclose(np.delete(kept, best), 0.0, atol=1e-11)
    assert found.exact and found.ranked == 20


@pytest.mark.parametrize("rate", [0.5, 0.85])
@pytest.mark.parametrize("largest", [0.3, 2.0])
def test_search_finds_the_top_of_the_full_table(rate, largest):
    kernel, s, alpha = function(14, 300, largest=largest, seed=3)
    rates = np.full(14, rate)
    full = read_out(kernel, s, alpha, rates, terms=200, limit=1)
    found = read_out(kernel, s, alpha, rates, terms=200, limit=1 << 14, table_players=0)
    assert found.exact
    expected = terms(full.words, full.coefficients)
    assert terms(found.words, found.coefficients) == pytest.approx(expected, abs=1e-10)


def test_search_proves_its_answer_long_before_it_has_seen_everything():
    kernel, s, alpha = function(14, 300, largest=0.15, seed=4)
    found = read_out(kernel, s, alpha, np.full(14, 0.5), terms=50, limit=2000, table_players=0)
    full = read_out(kernel, s, alpha, np.full(14, 0.5), terms=50, limit=1)
    assert found.exact
    assert set(terms(found.words, found.coefficients)) == set(terms(full.words, full.coefficients))


def test_search_says_when_it_was_cut():
    kernel, s, alpha = function(14, 300, largest=2.0, seed=5)
    members, values, exact = search(kernel, s, alpha, np.zeros(14), terms=100, limit=150)
    assert not exact
    table = walsh_table(kernel, s, alpha)
    np.testing.assert_allclose(values, table[pack(members)[:, 0].astype(int)], atol=1e-10)
    assert len(values) == 101 and not members[0].any()


def test_search_among_a_thousand_players():
    rng = np.random.default_rng(6)
    theta = np.where(np.arange(1000) < 12, 0.3, 1e-5)[rng.permutation(1000)]
    kernel = WalshKernel(theta, 0.1, 0.1, 1.0)
    s, alpha = signs(rng.random((200, 1000)) < 0.5), rng.normal(size=200)
    found = read_out(kernel, s, alpha, np.full(1000, 0.5), terms=100, limit=100_000)
    assert found.exact
    # the twelve players that matter have at most 2^12 terms: compute all of them directly
    some = np.flatnonzero(theta > 0.1)
    chosen = all_masks(12)
    sums = np.array([np.prod(s[:, some[c]], axis=1) @ alpha for c in chosen])
    values = kernel.product_scale * np.tanh(0.3) ** chosen.sum(axis=1) * sums
    values[0] += kernel.constant * alpha.sum()
    single = chosen.sum(axis=1) == 1
    values[single] += kernel.linear * 0.3 * sums[single]
    best = np.sort(np.abs(values[1:]))[-100:]
    inside = degrees(found.words) > 0
    np.testing.assert_allclose(np.sort(np.abs(found.coefficients[inside])), best, rtol=1e-9)
