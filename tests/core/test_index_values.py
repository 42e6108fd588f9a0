"""Indices of whole models: as functionals of keep rates, of tables, of terms, and of the strongest sets."""

from itertools import combinations
from math import comb

import numpy as np
import pytest

from spex_mech.core import index_sets
from spex_mech.core.errors import InputError
from spex_mech.core.index_functional import IndexFunctional
from spex_mech.core.index_values import spectrum_index_values, table_index_values
from spex_mech.core.index_weights import SINGLES, WEIGHTS
from spex_mech.core.interactions import interactions
from spex_mech.core.packed import pack_players, pack_supports, players_of
from spex_mech.core.spectrum import Spectrum
from spex_mech.core.transform import exact_spectrum


class Table:
    """A model that is known on all coalitions."""

    def __init__(self, table):
        self.table = table

    def __call__(self, masks):
        return self.table[masks @ (1 << np.arange(masks.shape[1]))]

    def index_values(self, words, functional):
        return table_index_values(self.table, words, functional)


@pytest.mark.parametrize("index", WEIGHTS)
@pytest.mark.parametrize(("t", "order", "degree"), [(1, 1, 7), (1, 2, 30), (2, 2, 60), (2, 3, 9)])
def test_nodes_give_the_weight_of_every_power(index, t, order, degree):
    functional = IndexFunctional(index, order)
    rates, weights = functional.nodes(t, degree)
    assert (rates >= 0).all() and (rates <= 1).all() and len(rates) <= degree + 1
    for r in range(degree + 1):
        expected = float(functional.moebius(t + r, t))
        assert weights @ rates**r == pytest.approx(expected, abs=1e-11 * np.abs(weights).sum())


def test_one_rate_is_enough_for_indices_at_one_rate():
    assert IndexFunctional("BII", 2).nodes(2, 500)[0].tolist() == [0.5]
    assert IndexFunctional("Moebius", 2).nodes(1, 500)[0].tolist() == [0.0]
    assert len(IndexFunctional("SII", 2).nodes(1, 8)[0]) == 9


@pytest.mark.parametrize("index", WEIGHTS)
@pytest.mark.parametrize(("n", "order"), [(1, 1), (4, 2), (7, 3), (10, 2)])
def test_tables_and_terms_have_the_values_of_the_exact_spectrum(index, n, order):
    table = np.random.default_rng(n).normal(size=1 << n)
    spectrum = exact_spectrum(table)
    functional = IndexFunctional(index, 1 if index in SINGLES else order)
    expected = interactions(spectrum, index, order).values
    sets = [
        s for t in range(functional.first, functional.order + 1) for s in combinations(range(n), t)
    ]
    words = pack_supports(sets, n)
    values = [expected.get(s, 0.0) for s in sets]
    np.testing.assert_allclose(table_index_values(table, words, functional), values, atol=1e-11)
    found = spectrum_index_values(spectrum, words, functional)
    np.testing.assert_allclose(found, values, atol=1e-11)


def test_a_model_is_used_instead_of_its_terms():
    table = np.random.default_rng(0).normal(size=64)
    truth, readout = exact_spectrum(table), exact_spectrum(table).truncate(3)
    spectrum = Spectrum(readout.words, readout.coefficients, 6, {}, Table(table))
    for index in WEIGHTS:
        whole = interactions(spectrum, index, 2)
        assert whole.values == pytest.approx(interactions(truth, index, 2).values)
        assert whole.baseline == pytest.approx(interactions(truth, index, 2).baseline)
        terms = interactions(spectrum, index, 2, terms="readout")
        assert terms.values == interactions(readout, index, 2).values
    assert spectrum.truncate(2).predictor is None
    with pytest.raises(InputError, match="terms is 'all', expected one of whole, readout"):
        interactions(spectrum, terms="all")


def test_a_function_that_gives_no_indices_is_read_by_its_terms():
    spectrum = Spectrum.from_supports([(0, 1)], [1.0], 3)
    odd = Spectrum(spectrum.words, spectrum.coefficients, 3, {}, lambda masks: masks.sum(axis=1))
    assert interactions(odd, "BII").values == interactions(spectrum, "BII").values


@pytest.mark.parametrize("size", [2, 3])
def test_the_strongest_sets_are_named_where_there_are_too_many(monkeypatch, size):
    monkeypatch.setattr(index_sets, "MOST_SETS", 10)
    monkeypatch.setattr(index_sets, "_MARGIN", 3)
    rng = np.random.default_rng(1)
    # Terms of few players are larger, as they are in models.
    sizes = np.bitwise_count(np.arange(256)).astype(float)
    terms = Spectrum(np.arange(256, dtype=np.uint64)[:, None], rng.normal(size=256) * 0.3**sizes, 8)
    everything = (np.arange(256)[:, None] >> np.arange(8) & 1).astype(bool)
    model = Table(terms(everything))
    functional = IndexFunctional("SII", size)
    words, values = index_sets.strongest(model, 8, size, functional)
    every = pack_players(np.array(list(combinations(range(8), size))), 8)
    true = model.index_values(every, functional)
    best = every[np.sort(np.argsort(-np.abs(true))[:10])]
    assert players_of(words, size).tolist() == players_of(best, size).tolist()
    np.testing.assert_allclose(values, model.index_values(best, functional))


def test_beyond_a_million_sets_those_of_the_terms_are_named():
    n = 300
    assert comb(n, 3) > 1 << 20

    class Sparse:
        def __init__(self, terms):
            self.terms = terms

        def __call__(self, masks):
            return self.terms(masks)

        def index_values(self, words, functional):
            return spectrum_index_values(self.terms, words, functional)

    terms = Spectrum.from_supports([(0, 7, 299), (1, 2), (5,)], [1.0, 2.0, 3.0], n)
    spectrum = Spectrum(terms.words, terms.coefficients, n, {}, Sparse(terms))
    found = interactions(spectrum, "SII", 3)
    assert found.values == pytest.approx(interactions(terms, "SII", 3).values)
