"""Decoders of values on answers to single questions: weights, levels, and R² without the noise of answers."""

from __future__ import annotations

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.core.faithfulness import faithfulness
from spex_mech.decoders.checks import distinct
from spex_mech.decoders.lasso import lasso
from spex_mech.decoders.means import decode_means
from spex_mech.decoders.proxyspex import proxyspex
from spex_mech.decoders.ridge import parities
from spex_mech.decoders.spex.decode import spex
from tests.shared.quiz import Quiz

N = 12
FRESH = sm.designs.uniform(N, 1000, seed=99).masks


@pytest.fixture(scope="module")
def asked():
    """A game, a design of 300 masks, a sixth of which is asked 8 questions and the others 1."""
    game, design = Quiz(N, 16, own=1.0, seed=0), sm.designs.uniform(N, 300, seed=0)
    run = sm.evaluate(game, design, questions=np.where(np.arange(300) < 50, 8, 1))
    return game, design, run


@pytest.mark.parametrize("method, options", [(lasso, {}), (proxyspex, {"rounds": 60})])
def test_weights_and_levels_bring_the_spectrum_nearer_to_the_game(method, options, asked):
    game, design, run = asked
    truth = game(FRESH)
    plain = faithfulness(method(design, run.answers.means(), **options), FRESH, truth)
    found = sm.decode(design, run, method=method.__name__, **options)
    assert faithfulness(found, FRESH, truth) > plain + 0.01
    assert found.info["answers"] == len(run.answers) == 650
    # R² to expect is that of the mean over all questions, not of noisy answers.
    assert abs(found.info["r2_cv"] - faithfulness(found, FRESH, truth)) < 0.12
    assert method(design, run.answers.means(), **options).info["r2_cv"] < 0.8


@pytest.mark.parametrize("method", [lasso, proxyspex])
def test_a_weight_is_so_many_equal_masks(method):
    design = sm.designs.uniform(N, 80, seed=1)
    values = Quiz(N, 3, seed=2)(design.masks)
    counts = 1 + np.arange(80) % 3
    rows = np.repeat(np.arange(80), counts)
    again = sm.designs.MaskDesign(design.masks[rows], 1)
    first, means, summed = distinct(design, values, counts.astype(float))
    np.testing.assert_allclose(summed, distinct(again, values[rows])[2])
    np.testing.assert_allclose(means, values[first])
    if method is proxyspex:  # averages equal masks itself, so that folds are the same
        one = proxyspex(design, values, rounds=20, weights=counts)
        other = proxyspex(again, values[rows], rounds=20)
        np.testing.assert_allclose(one(FRESH), other(FRESH), atol=0.02 * np.ptp(values))
    else:
        one = lasso(design, values, weights=np.full(80, 3.0))
        np.testing.assert_allclose(one(FRESH), lasso(design, values)(FRESH), atol=1e-6)


def test_equal_weights_change_nothing():
    design = sm.designs.uniform(N, 60, seed=3)
    values = Quiz(N, 3, seed=2)(design.masks)
    for method, options in ((lasso, {}), (proxyspex, {"rounds": 20})):
        plain = method(design, values, **options)
        same = method(design, values, weights=np.ones(60), **options)
        np.testing.assert_array_equal(same.coefficients, plain.coefficients)
        np.testing.assert_array_equal(same.words, plain.words)


def test_levels_are_found_anew_from_what_a_fit_leaves():
    game = Quiz(N, 16, own=0.0, seed=0)
    game.level = np.linspace(-30, 30, 16)
    design = sm.designs.uniform(N, 200, seed=0)
    answers = sm.evaluate(game, design, questions=1).answers
    given = []

    def truth_of(design, values, *, weights, noise):
        given.append((values, weights, noise))
        return sm.exact_spectrum(Quiz(N, 16, own=0.0, seed=0)(sm.designs.exhaustive(N).masks))

    decode_means(truth_of, design, answers)
    shared = game(design.masks) - game.level.mean()
    # After a fit that is right, the values are the game's up to a constant, whatever the levels.
    left = given[1][0] - shared
    assert np.ptp(left) < 1e-4 < np.ptp(given[0][0] - shared)
    np.testing.assert_array_equal(given[0][1], 1.0)
    assert given[0][2] == 0.0  # no second answers


def test_spex_fits_its_terms_by_weight():
    n = 8
    design = sm.designs.spex(n, 400, seed=0)
    truth = sm.Spectrum.from_supports([(), (1,), (2, 5)], [1.0, 2.0, -1.0], n)
    counts = np.where(np.arange(len(design)) % 3 == 0, 9, 1)
    noise = np.random.default_rng(0).normal(0, 0.1, len(design)) / np.sqrt(counts)
    values = truth(design.masks) + noise
    plain, weighted = spex(design, values), spex(design, values, weights=counts)
    assert {s for s, _ in weighted.top(300)} == {s for s, _ in plain.top(300)} >= {(1,), (2, 5)}
    columns, root = parities(design.masks, weighted.words), np.sqrt(counts)
    expected = np.linalg.lstsq(root[:, None] * columns, root * values, rcond=None)[0]
    np.testing.assert_allclose(weighted.coefficients, expected, atol=0.02)
    assert np.abs(plain.coefficients - weighted.coefficients).max() > 1e-3
    told = spex(design, values, weights=counts, noise=0.01).info["explained"]
    assert 0.999 < told and plain.info["explained"] < told


@pytest.mark.parametrize("weights, message", [([1.0] * 39, "expected"), ([0.0] * 40, "above 0")])
def test_weights_that_do_not_fit_are_refused(weights, message):
    design = sm.designs.uniform(N, 40, seed=0)
    for method in (lasso, proxyspex):
        with pytest.raises(sm.InputError, match=message):
            method(design, np.arange(40.0), weights=weights)
