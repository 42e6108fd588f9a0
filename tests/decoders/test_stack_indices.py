"""Interaction indices of a stack: exact up to 17 players, sampled for warped processes beyond."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from spex_mech import designs
from spex_mech.core.index_functional import IndexFunctional
from spex_mech.core.index_values import table_index_values
from spex_mech.core.interactions import interactions
from spex_mech.core.masks import all_masks
from spex_mech.core.packed import pack_players
from spex_mech.core.spectrum import Spectrum
from spex_mech.core.transform import exact_spectrum
from spex_mech.decoders.decode import decode, evidence_of
from spex_mech.decoders.stack.bent import Bent
from spex_mech.decoders.stack.decode import stack
from spex_mech.decoders.stack.gp import Process
from spex_mech.decoders.stack.members import Lasso, Trees

N = 9
LATENT = Spectrum.from_supports(
    [(0,), (3,), (0, 3), (4, 8), (0, 3, 4), (6,)], [-1.0, 0.5, 0.8, -0.6, 0.4, 0.3], N
)
DESIGN = designs.leverage(N, 120, seed=1)


def game(masks):
    return np.tanh(1.2 * LATENT(masks)) + 0.1 * masks[:, 2] * masks[:, 5]


def every(size):
    return pack_players(np.array(list(combinations(range(N), size))), N)


@pytest.fixture(scope="module")
def spectrum():
    return stack(DESIGN, game(DESIGN.masks))


@pytest.mark.parametrize("index", ["Shapley", "SII", "STII", "FSII", "FBII", "Banzhaf"])
def test_indices_are_those_of_all_predictions(spectrum, index):
    expected = interactions(exact_spectrum(spectrum(all_masks(N))), index, 2).values
    found = interactions(spectrum, index, 2).values
    assert found == pytest.approx(expected, abs=1e-10)


def test_members_in_closed_form_need_no_table():
    members = [Process("gp", 0.5), Lasso(2), Trees()]
    predictor = stack(DESIGN, game(DESIGN.masks), members=members).predictor
    assert (predictor.blend.weights > 0).sum() > 1
    closed = replace(predictor, table=None)
    for index in ("Moebius", "SII", "FSII", "FBII"):
        for size in (1, 2, 3):
            functional = IndexFunctional(index, 3)
            np.testing.assert_allclose(
                closed.index_values(every(size), functional),
                predictor.index_values(every(size), functional),
                atol=1e-10,
            )


def test_indices_of_warped_values_are_within_their_errors(spectrum):
    ranks = next(m for m in spectrum.predictor.members if m.name == "ranks")
    assert isinstance(ranks.index_values, Bent)
    scores = []
    for index, size in (("SII", 1), ("SII", 2), ("FSII", 2), ("FBII", 1)):
        functional = IndexFunctional(index, 2)
        exact = table_index_values(ranks.table(), every(size), functional)
        for seed in range(3):
            bent = replace(ranks.index_values, seed=seed)
            values, errors = bent(every(size), functional, np.full(len(exact), 0.01))
            scores.append((values - exact) / errors)
    scores = np.concatenate(scores)
    assert np.mean(scores**2) < 1.5 and np.abs(scores).max() < 5


def test_more_masks_are_drawn_for_smaller_errors(spectrum):
    bent = next(m for m in spectrum.predictor.members if m.name == "ranks").index_values
    functional = IndexFunctional("SII", 2)
    _, rough = bent(every(2), functional, np.full(36, 1.0))
    _, fine = bent(every(2), functional, np.full(36, rough.mean() / 3))
    assert fine.mean() < 0.5 * rough.mean()
    for index in ("Moebius", "STII"):  # at no other player, nothing is left to chance
        functional = IndexFunctional(index, 3)
        exact = table_index_values(
            next(m for m in spectrum.predictor.members if m.name == "ranks").table(),
            every(2),
            functional,
        )
        values, errors = bent(every(2), functional, np.full(36, 1.0))
        np.testing.assert_allclose(values, exact, atol=1e-7)
        assert errors.max() < 1e-7


def test_sampled_and_exact_indices_of_a_stack_agree(spectrum):
    sampled = replace(spectrum, predictor=replace(spectrum.predictor, table=None))
    for index in ("Shapley", "SII"):
        exact, drawn = interactions(spectrum, index, 2), interactions(sampled, index, 2)
        error = [exact.values[s] - drawn.values[s] for s in exact.values]
        deviation = list(exact.std.values())
        assert np.mean(np.square(error)) < 0.2**2 * np.mean(np.square(deviation))


@pytest.fixture(scope="module")
def decoded():
    return decode(DESIGN, game(DESIGN.masks))


def test_evaluated_masks_correct_the_indices_of_a_decoded_game(decoded):
    values = game(DESIGN.masks)
    plain = replace(decoded, evidence=None)
    truth = exact_spectrum(game(all_masks(N)))
    for index in ("Shapley", "STII", "FSII"):
        found = interactions(decoded, index, 2)
        total = sum(value for players, value in found.values.items() if players)
        assert total == pytest.approx(values[1] - values[0])
        assert found.baseline == pytest.approx(values[0])
        exact = interactions(truth, index, 2).values
        errors = [
            sum((one.values[s] - exact.get(s, 0.0)) ** 2 for s in one.values if s)
            for one in (found, interactions(plain, index, 2))
        ]
        assert errors[0] < 0.8 * errors[1]


def test_noise_is_no_evidence():
    """Of values that differ for equal masks, only what the noise leaves of the residuals is believed."""
    rng = np.random.default_rng(2)
    masks = np.repeat(designs.leverage(N, 60, seed=3).masks, 3, axis=0)
    noisy = designs.MaskDesign(masks, 0)
    model = Spectrum.from_supports([()], [0.0], N)
    values = rng.normal(size=len(masks))
    found = evidence_of(model, noisy, values)
    means = values.reshape(-1, 3).mean(axis=1)
    assert np.abs(found.residuals).sum() < 0.4 * np.abs(means).sum()
    exact = evidence_of(model, noisy, np.repeat(means, 3))
    np.testing.assert_allclose(exact.residuals, means)


def test_deviations_of_corrected_indices_cover_the_truth(decoded):
    truth = exact_spectrum(game(all_masks(N)))
    for index in ("Shapley", "SII", "FSII"):
        found, exact = interactions(decoded, index, 2), interactions(truth, index, 2).values
        scores = [(found.values[s] - exact.get(s, 0.0)) / found.std[s] for s in found.values if s]
        assert 0.3 < np.sqrt(np.mean(np.square(scores))) < 3


def test_terms_alone_are_not_corrected(decoded):
    terms = Spectrum(decoded.words, decoded.coefficients, N)
    for index in ("Shapley", "FBII"):
        found = interactions(decoded, index, 2, terms="readout").values
        assert found == interactions(terms, index, 2).values
