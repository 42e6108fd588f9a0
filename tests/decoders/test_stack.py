"""The stack: members' held-out predictions, weights, readout and standard deviations."""

import numpy as np
import pytest
from scipy.optimize import minimize

from spex_mech import designs
from spex_mech.core.errors import InputError
from spex_mech.core.faithfulness import faithfulness
from spex_mech.core.masks import all_masks
from spex_mech.core.spectrum import Spectrum
from spex_mech.core.transform import exact_spectrum
from spex_mech.decoders.gp.fit import condition_on
from spex_mech.decoders.gp.likelihood import Prior
from spex_mech.decoders.gp.posterior import condition
from spex_mech.decoders.gp.warp import rank_gaussian
from spex_mech.decoders.lasso import lasso_folds
from spex_mech.decoders.proxyspex import boosted_folds, proxyspex
from spex_mech.decoders.ridge import parities
from spex_mech.decoders.samples import Samples, r2_of
from spex_mech.decoders.stack.decode import default_members, stack
from spex_mech.decoders.stack.gp import Process, first_apart, leave_out
from spex_mech.decoders.stack.looks import fit_those_that_help
from spex_mech.decoders.stack.members import Lasso, Trees
from spex_mech.decoders.stack.readout import read_samples, read_table
from spex_mech.decoders.stack.weights import Blend, blend_held_out
from spex_mech.designs import MaskDesign

TERMS = {(): 2.0, (0,): -1.0, (3,): 0.5, (0, 3): 0.8, (4, 9): -0.6, (0, 3, 4): 0.4}
TRUTH = Spectrum.from_supports(list(TERMS), list(TERMS.values()), 12)
TRUTH_OF_40 = Spectrum.from_supports(list(TERMS), list(TERMS.values()), 40)
FOLD = np.arange(150) % 5


def saturated(masks):
    return np.tanh(2.0 * (TRUTH(masks) - 2.0))


def samples(game=TRUTH, m=150, n=12, seed=0):
    masks = designs.uniform(n, m, seed=seed).masks
    return Samples(masks, game(masks), np.ones(m))


def test_it_is_no_worse_than_its_best_member():
    masks = all_masks(12)
    for game in (TRUTH, saturated):
        design = designs.uniform(12, 80, seed=1)
        spectrum = stack(design, game(design.masks))
        singles = [
            faithfulness(member.predict, masks, (game(masks) - predictor.shift) / predictor.scale)
            for predictor in [spectrum.predictor]
            for member in predictor.members
        ]
        assert faithfulness(spectrum, masks, game(masks)) > max(singles) - 0.005
        assert (
            spectrum.info["r2_cv"]
            > max(m["r2_cv"] for m in spectrum.info["members"].values()) - 0.01
        )


def test_readout_is_the_exact_transform_of_the_whole_surrogate():
    design = designs.uniform(12, 150, seed=2)
    spectrum = stack(design, saturated(design.masks), terms=30)
    full = exact_spectrum(spectrum(all_masks(12)))
    assert [s for s, _ in spectrum.top(30)] == [s for s, _ in full.top(30)]
    for support, coefficient in full.top(30, include_empty=True):
        assert spectrum[support] == pytest.approx(coefficient, abs=1e-12)
    kept = faithfulness(spectrum.truncate(30), all_masks(12), spectrum(all_masks(12)))
    assert spectrum.info["readout_loss"] == pytest.approx(1.0 - kept, abs=1e-9)
    assert spectrum.info["exact_readout"] and len(spectrum) == 31


def test_table_is_what_the_members_predict():
    design = designs.uniform(10, 120, seed=0)
    predictor = stack(design, np.round(TRUTH(np.pad(design.masks, ((0, 0), (0, 2)))), 1)).predictor
    masks = all_masks(10)
    for member in predictor.members:
        np.testing.assert_allclose(member.table(), member.predict(masks), atol=1e-9)
    blended = predictor.blend(np.stack([f.predict(masks) for f in predictor.members], axis=1))
    np.testing.assert_allclose(predictor(masks), predictor.shift + predictor.scale * blended)


@pytest.mark.parametrize("member", [Process("gp", 0.5), Lasso(2), Trees()])
def test_values_of_a_fold_do_not_enter_its_predictions(member):
    data = samples(lambda masks: TRUTH(masks) + 0.3 * np.random.default_rng(1).normal(size=150))
    other = data.values.copy()
    other[FOLD == 2] = np.random.default_rng(0).permutation(other[FOLD == 2])
    first, second = (
        member(Samples(data.masks, values, data.counts), FOLD, 0).held_out
        for values in (data.values, other)
    )
    change = np.abs(first - second)
    assert np.median(change[FOLD != 2]) > 1e-3
    # What is left is the choice of the penalty, the rounds, and where learning started.
    assert np.sqrt(np.mean(change[FOLD == 2] ** 2)) < 0.35 * np.sqrt(
        np.mean(change[FOLD != 2] ** 2)
    )


def test_closed_form_of_left_out_folds_is_conditioning_on_the_others():
    data = samples(m=150)
    prior = Prior.start(12)
    posterior = condition_on(prior, data)
    mean, std = leave_out(posterior, data, FOLD)
    shift, scale = data.moments()
    for k in range(5):
        rows = FOLD != k
        rest = data.rows(rows)
        own = condition(
            prior, Samples(rest.masks, rest.values, rest.counts), shift=shift, scale=scale
        )
        np.testing.assert_allclose(mean[~rows], own(data.masks[~rows]), atol=1e-8)
        expected = own.std(data.masks[~rows]) / own.inflation * posterior.inflation
        np.testing.assert_allclose(std[~rows], expected, atol=1e-8)


def test_weights_solve_their_problem():
    rng = np.random.default_rng(0)
    values, counts = rng.normal(size=60), rng.integers(1, 4, 60).astype(float)
    predictions = values[:, None] * [0.9, 0.5, -0.8] + rng.normal(size=(60, 3)) * [0.5, 0.6, 0.3]
    blend = Blend.fit(predictions, values, counts)
    mean = np.average(values, weights=counts)
    error = (counts @ (predictions - values[:, None]) ** 2 / counts.sum()).min()

    def loss(w):
        left = values - mean - (predictions - mean) @ w
        return counts @ left**2 + error / 0.3**2 * np.sum((w - 1 / 3) ** 2)

    found = minimize(loss, np.full(3, 0.3), bounds=[(0, None)] * 3, tol=1e-14)
    np.testing.assert_allclose(blend.weights, found.x, atol=1e-5)
    assert blend.weights[2] == 0.0


def test_one_member_that_is_exact_takes_all():
    rng = np.random.default_rng(1)
    values = rng.normal(size=40)
    predictions = np.stack([values, values + 0.3 * rng.normal(size=40)], axis=1)
    np.testing.assert_allclose(
        Blend.fit(predictions, values, np.ones(40)).weights, [1, 0], atol=1e-9
    )


def test_held_out_blend_uses_the_weights_of_the_other_folds():
    rng = np.random.default_rng(2)
    values, fold = rng.normal(size=50), np.arange(50) % 5
    predictions = values[:, None] + rng.normal(size=(50, 2))
    out = blend_held_out(predictions, values, np.ones(50), fold)
    rows = fold != 3
    own = Blend.fit(predictions[rows], values[rows], np.ones(rows.sum()))
    np.testing.assert_allclose(out[~rows], own(predictions[~rows]))


def test_sampled_readout_is_the_exact_one_where_the_candidates_are_all_terms():
    rates = np.full(12, 0.8)
    table = read_table(TRUTH(all_masks(12)), rates, terms=9)
    candidates = np.vstack([table.words, [[77], [2048]]]).astype(np.uint64)
    sampled = read_samples(TRUTH, candidates, rates, terms=9, rng=np.random.default_rng(0))
    exact, found = (Spectrum.from_words(r.words, r.coefficients, 12) for r in (table, sampled))
    np.testing.assert_allclose(found(all_masks(12)), exact(all_masks(12)), atol=1e-5)
    assert table.exact and not sampled.exact


def test_sampled_readout_keeps_the_largest_biased_terms():
    rates = np.full(12, 0.8)
    table = read_table(TRUTH(all_masks(12)), rates, terms=6)
    words = read_table(TRUTH(all_masks(12)), rates, terms=9).words
    sampled = read_samples(TRUTH, words, rates, terms=6, rng=np.random.default_rng(0))
    assert sampled.loss == pytest.approx(table.loss, abs=0.3 * table.loss)
    assert sampled.ranked == table.ranked == 6


def test_many_players_are_read_from_samples():
    truth = Spectrum.from_supports(list(TERMS), list(TERMS.values()), 40)
    design = designs.biased(40, 160, keep_rate=0.7, seed=0)
    spectrum = stack(design, truth(design.masks), terms=50)
    test = np.random.default_rng(1).random((3000, 40)) < 0.7
    assert not spectrum.info["exact_readout"]
    assert list(spectrum.info["members"]) == ["gp", "tied", "ranks", "lasso", "trees"]
    full = faithfulness(spectrum, test, truth(test))
    sparse = faithfulness(spectrum.truncate(len(spectrum)), test, truth(test))
    assert full > 0.9 and sparse > full - 0.02
    assert 1 - faithfulness(
        spectrum.truncate(len(spectrum)), test, spectrum(test)
    ) == pytest.approx(spectrum.info["readout_loss"], abs=0.01)


@pytest.mark.parametrize("m", [300, 600])
def test_relevances_of_many_players_do_not_remember_what_they_predict(m):
    noise = samples(lambda masks: np.random.default_rng(2).normal(size=len(masks)), m, 120)
    fitted = Process("gp", 2.0)(noise, np.arange(m) % 5, 0)
    known = np.isfinite(fitted.held_out)
    assert known.sum() == (m if m == 300 else m // 5) and known[-m // 5 :].all()
    np.testing.assert_array_equal(np.isfinite(fitted.held_out_std), known)
    # Nothing but noise: what explains a part of it has seen it.
    assert r2_of(fitted.held_out[known], noise.rows(known)) < 0.02
    assert r2_of(fitted.predict(noise.masks), noise) > 0.1


def test_weights_of_many_players_come_from_masks_that_no_relevance_knows():
    truth = Spectrum.from_supports(list(TERMS), list(TERMS.values()), 40)
    design = designs.uniform(40, 520, seed=0)
    values = truth(design.masks) + np.random.default_rng(0).normal(size=520)
    spectrum = stack(design, values, members=(Process("gp", 2.0), Lasso(1)))
    gp, linear = spectrum.predictor.members
    rows = np.flatnonzero(np.isfinite(gp.held_out))
    order = np.random.default_rng(0).permutation(520)
    y = ((values - values.mean()) / np.ptp(values))[order][rows]
    blend = Blend.fit(np.stack([gp.held_out, linear.held_out], 1)[rows], y, np.ones(len(rows)))
    np.testing.assert_allclose(spectrum.predictor.blend.weights, blend.weights)
    assert len(rows) == 104
    one = 1 - np.sum((y - linear.held_out[rows]) ** 2) / np.sum((y - y.mean()) ** 2)
    assert spectrum.info["members"]["lasso"]["r2_cv"] == pytest.approx(one)


def test_processes_that_cannot_help_are_left_out():
    design = designs.uniform(40, 520, seed=0)
    linear = 1.0 + design.masks[:, :4] @ [1.0, -2.0, 0.5, 3.0]
    found = stack(design, linear, seed=0)
    assert list(found.info["members"]) == ["gp", "lasso", "trees"]
    assert found.info["r2_cv"] > 0.999
    assert np.isfinite(found.predict_std(design.masks[:5])).all()


def test_a_process_that_helps_is_fitted_to_the_end():
    rng = np.random.default_rng(0)
    bent = samples(lambda masks: np.exp(1.2 * masks[:, :12].sum(axis=1)), 700, 40)
    members = (Process("gp", 2.0), Process("ranks", 2.0, rank_gaussian), Lasso(1))
    fold = np.arange(700) % 5
    found = fit_those_that_help(members, bent, fold, 0)
    assert [member.name for member in found] == ["gp", "ranks", "lasso"]
    alone = members[1](bent, fold, 0)
    np.testing.assert_array_equal(found[1].held_out, alone.held_out)
    noise = Samples(bent.masks, rng.normal(size=700), bent.counts)
    assert [m.name for m in fit_those_that_help(members, noise, fold, 0)] == ["gp", "lasso"]


def test_a_look_does_not_see_what_it_predicts():
    data, fold = samples(TRUTH_OF_40, 600, 40), np.arange(600) % 5
    first = first_apart(data, fold)
    assert first == 480
    prior = Prior.start(40)
    look = Process("gp", 2.0).look(data, fold, first, prior)
    changed = Samples(data.masks, data.values.copy(), data.counts)
    changed.values[first:] = 7.0
    np.testing.assert_array_equal(Process("gp", 2.0).look(changed, fold, first, prior), look)
    assert r2_of(look, data.rows(slice(first, None))) > 0.5
    assert first_apart(data.rows(slice(400)), fold[:400]) is None  # too few to set apart
    assert first_apart(Samples(data.masks[:, :12], data.values, data.counts), fold) is None


def test_left_out_values_that_are_all_equal_tell_nothing():
    design = designs.uniform(40, 520, seed=8)
    values = np.zeros(520)
    order = np.random.default_rng(0).permutation(520)
    values[order[:7]] = np.random.default_rng(8).normal(size=7)  # all among those learnt from
    info = stack(design, values).info
    assert info["r2_cv"] == 0.0
    assert {member["r2_cv"] for member in info["members"].values()} == {0.0}


def test_units_of_the_values_do_not_matter():
    design = designs.uniform(12, 60, seed=2)
    values = saturated(design.masks)
    one, masks = stack(design, values), all_masks(12)
    for scale, shift in ((1e4, -3e4), (1e-100, 0.0)):
        other = stack(design, scale * values + shift)
        np.testing.assert_allclose((other(masks) - shift) / scale, one(masks), atol=1e-5)
        np.testing.assert_allclose(
            other.predictor.std(masks) / scale, one.predictor.std(masks), rtol=1e-4
        )


def test_rounding_of_the_values_does_not_matter():
    design = designs.uniform(12, 150, seed=0)
    values = TRUTH(design.masks)
    expected = stack(design, values, members=[Lasso(2), Trees()])
    spectrum = stack(design, values * (1.0 + 1e-12), members=[Lasso(2), Trees()])
    test = all_masks(12)
    np.testing.assert_allclose(spectrum(test), expected(test), rtol=1e-6, atol=1e-6)


def test_equal_masks_count_as_often():
    design = designs.uniform(12, 100, seed=2)
    noisy = TRUTH(design.masks) + np.random.default_rng(0).normal(size=100)
    again = MaskDesign(np.repeat(design.masks, 4, axis=0), 0)
    mean = np.repeat(noisy, 4) + np.tile([1.0, -1.0, 2.0, -2.0], 100)
    assert len(again) == 400
    members = stack(again, mean).predictor.members
    assert len(members[0].held_out) == 100
    np.testing.assert_allclose(members[0].posterior.counts, 4.0)


def test_standard_deviations_cover_held_out_values_and_indices():
    rng = np.random.default_rng(0)
    design = designs.uniform(12, 200, seed=4)
    noise = 0.3
    spectrum = stack(design, TRUTH(design.masks) + noise * rng.normal(size=200))
    test = all_masks(12)[::3]
    values = TRUTH(test) + noise * rng.normal(size=len(test))
    z = (values - spectrum(test)) / spectrum.predictor.std(test)
    assert 0.8 < np.sqrt(np.mean(z**2)) < 1.2
    assert 0.9 < np.mean(np.abs(z) < 1.96) < 0.99


def test_deviations_of_terms_and_of_superset_sums():
    design = designs.uniform(8, 100, seed=0)
    truth = Spectrum.from_supports([(0,), (1, 2), (0, 1, 2), (5,)], [1, -0.5, 0.4, 0.3], 8)
    predictor = stack(design, truth(design.masks)).predictor
    words = np.array([[0], [1], [6]], dtype=np.uint64)
    exact = exact_spectrum(predictor(all_masks(8)))

    def weight(s, t):
        return 0.5 ** (s - t)

    sums = np.array([
        sum(c * weight(len(s), len(t)) for s, c in exact if set(t) <= set(s))
        for t in ((), (0,), (1, 2))
    ])  # fmt: skip
    _, std = predictor.members[0].posterior.moments(words, weight)
    found = predictor.deviations(words, sums, weight)
    np.testing.assert_allclose(found, predictor.scale * predictor.inflation * std, rtol=1e-6)
    off = predictor.deviations(words, sums + 3.0, weight)
    np.testing.assert_allclose(off, np.hypot(found, 3.0), rtol=1e-6)


def test_members_depend_on_what_is_affordable():
    names = [m.name for m in default_members(samples(m=150))]
    assert names == ["gp", "tied", "ranks", "logits", "lasso", "trees"]
    binary = samples(lambda masks: (TRUTH(masks) > 2).astype(float), m=150)
    assert [m.name for m in default_members(binary)] == ["gp", "tied", "lasso", "trees"]
    many = Samples(np.zeros((3000, 12), dtype=bool), np.arange(3000.0), np.ones(3000))
    assert [m.name for m in default_members(many)] == ["gp", "ranks", "lasso", "trees"]
    wide = Samples(np.zeros((500, 300), dtype=bool), np.arange(500.0), np.ones(500))
    members = default_members(wide)
    assert [m.name for m in members] == ["gp", "tied", "ranks", "lasso", "trees"]
    assert members[-2] == Lasso(1)


def test_given_folds_and_members_are_used():
    design = designs.uniform(10, 60, seed=0)
    values = Spectrum.from_supports([(0,), (1, 2)], [1, 1], 10)(design.masks)
    fold = 7 * (np.arange(60) < 20) + 2
    spectrum = stack(design, values, members=(Lasso(2),), fold=fold)
    assert list(spectrum.info["members"]) == ["lasso"]
    predicted = spectrum.predictor.members[0].held_out
    order = np.random.default_rng(0).permutation(60)
    standard = (values - values.mean()) / values.std()
    data = Samples(design.masks, standard, np.ones(60))
    _, own, _ = lasso_folds(data, (fold == 9).astype(int), order=2)
    np.testing.assert_allclose(predicted, (own * values.std() / np.ptp(values))[order], atol=5e-3)
    with pytest.raises(InputError, match="all masks are in one fold"):
        stack(design, values, fold=np.zeros(60, dtype=int))
    with pytest.raises(InputError, match="expected an integer for each of the 60 masks"):
        stack(design, values, fold=np.zeros(59, dtype=int))
    with pytest.raises(InputError, match="add a Process"):
        spectrum.predictor.std(design.masks)


def test_too_little_is_refused():
    design = designs.uniform(10, 7, seed=0)
    with pytest.raises(InputError, match="7 distinct masks"):
        stack(design, np.arange(7.0))
    with pytest.raises(InputError, match="terms is 0"):
        stack(design, np.arange(7.0), terms=0)
    twice = MaskDesign(np.vstack([design.masks] * 2), 0)
    with pytest.raises(InputError, match="1 different mean values"):
        stack(twice, np.repeat([1.0, -1.0], 7))
    assert dict(stack(design, np.full(7, 2.5))) == {(): 2.5}


def test_boosted_folds_average_trees_that_have_not_seen_the_fold():
    data = samples(m=150)
    standard = (data.values - data.values.mean()) / data.values.std()
    boosted = boosted_folds(Samples(data.masks, standard, data.counts), FOLD, seed=0)
    spectrum, held_out = boosted.spectrum, boosted.held_out
    test = all_masks(12)
    assert (
        faithfulness(spectrum, test, (TRUTH(test) - data.values.mean()) / data.values.std()) > 0.8
    )
    seen = np.mean((standard - spectrum(data.masks)) ** 2)
    assert np.mean((standard - held_out) ** 2) > 2 * seen


def test_a_refit_of_the_trees_is_that_of_proxyspex():
    truth = Spectrum.from_supports(list(TERMS), list(TERMS.values()), 60)
    design = designs.uniform(60, 400, seed=0)
    values = truth(design.masks)
    own = proxyspex(design, values, seed=0)
    assert own.info["terms"] == "refit"
    shift, scale = values.mean(), values.std()
    fold = np.random.default_rng(0).permutation(400) % 5
    standard = (values - shift) / scale
    data = Samples(design.masks, standard, np.ones(400))
    boosted = boosted_folds(data, fold, seed=0, refit=True)
    spectrum, held_out = boosted.spectrum, boosted.held_out
    assert own.info["r2_cv"] == pytest.approx(1 - np.sum((standard - held_out) ** 2) / 400)
    terms = dict(own)
    assert terms.keys() == dict(spectrum).keys()
    for support in terms.keys() - {()}:
        assert scale * spectrum[support] == pytest.approx(terms[support])
    of_trees = boosted_folds(data, fold, seed=0).held_out
    assert np.sum((standard - of_trees) ** 2) * 0.9 > np.sum((standard - held_out) ** 2)


def test_lasso_path_matches_sklearn():
    from sklearn.linear_model import Lasso as SkLasso

    data = samples(m=150)
    weights = np.random.default_rng(0).uniform(0.5, 2, 150)
    standard = (data.values - data.values.mean()) / data.values.std()
    standard = standard + 0.3 * np.random.default_rng(1).normal(size=150)
    spectrum, _, _ = lasso_folds(Samples(data.masks, standard, weights), FOLD, order=1)
    columns = parities(data.masks, np.array([[1 << i] for i in range(12)], dtype=np.uint64))
    slopes = np.array([spectrum[(i,)] for i in range(12)])
    left = standard - spectrum[()] - columns @ slopes
    assert weights @ left == pytest.approx(0.0, abs=1e-6)
    share = weights / weights.sum()
    penalty = np.abs(columns.T @ (share * left)).max()  # what every term that is kept reaches
    own = SkLasso(alpha=penalty, tol=1e-10).fit(columns, standard, sample_weight=weights)
    np.testing.assert_allclose(slopes, own.coef_, atol=1e-4)


def test_a_warped_member_sees_through_saturation():
    linear = Spectrum.from_supports([(i,) for i in range(12)], np.linspace(0.2, 1.0, 12), 12)

    def game(masks):
        return np.tanh(2.0 * linear(masks))

    data, masks = samples(game, m=100), all_masks(12)
    fold = np.arange(100) % 5
    fitted = Process("ranks", 0.5, rank_gaussian)(data, fold, 0)
    r2 = 1 - np.var(data.values - fitted.held_out) / np.var(data.values)
    true = faithfulness(fitted.predict, masks, game(masks))
    assert r2 == pytest.approx(true, abs=0.06)
    plain = Process("gp", 0.5)(data, fold, 0)
    assert true > faithfulness(plain.predict, masks, game(masks)) + 0.01
