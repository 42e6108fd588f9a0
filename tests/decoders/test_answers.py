"""Decoding answers to single questions: the kernel, its posterior, held-out means, and what a stack makes."""

from __future__ import annotations

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.core.answers import Answers
from spex_mech.core.masks import all_masks
from spex_mech.decoders.gp import answers as of_answers
from spex_mech.decoders.gp.answers import AnswerSamples, levels_of, means_left_out, noise_of
from spex_mech.decoders.gp.kernel import WalshKernel, signs
from spex_mech.decoders.gp.likelihood import Prior, covariance, objective
from spex_mech.decoders.gp.posterior import condition
from spex_mech.decoders.gp.questions import effects, rates_of
from spex_mech.decoders.per_question import grouped, question_effects
from spex_mech.decoders.samples import Samples
from spex_mech.designs.asked import asked_questions
from tests.shared.quiz import Quiz

N, E = 7, 5


def prior(noise=0.2):
    theta = np.random.default_rng(1).uniform(0.1, 0.8, N)
    return Prior(WalshKernel(theta, 0.6, 0.3, 0.9), noise, (0.7, 0.2, 0.4))


def some_answers(masks=30, each=2, seed=0) -> Answers:
    rng = np.random.default_rng(seed)
    chosen = sm.designs.uniform(N, masks, seed=seed).masks
    asked = asked_questions(np.full(masks, each), E, seed=seed).reshape(-1, each)
    return Answers.of_asked(chosen, asked, rng.normal(size=asked.shape), E)


def samples_of(answers: Answers) -> Samples:
    weights = np.zeros((len(answers), E))
    weights[np.arange(len(answers)), answers.question] = 1.0
    return Samples(answers.masks[answers.mask], answers.values, np.ones(len(answers)), weights)


def joint_covariance(given: Prior, masks, questions, others, other_questions):
    """k of two answers, written out."""
    s, t = signs(masks), signs(others)
    u = (s * given.kernel.theta) @ t.T
    product = np.exp(u - given.kernel.theta.sum())
    same = questions[:, None] == other_questions[None, :]
    k, (b0, b1, b2) = given.kernel, given.question
    common = k.constant + k.linear * u + k.product * product
    return common + same * (b0 + b1 * u + b2 * product)


def test_covariance_is_its_formula_for_answers_and_for_means_of_answers():
    answers, given = some_answers(), prior()
    data = samples_of(answers)
    found = covariance(given, signs(data.masks), signs(data.masks), data.overlap)
    expected = joint_covariance(given, data.masks, answers.question, data.masks, answers.question)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    mean = np.kron(np.eye(len(answers.masks)), np.full((1, 2), 0.5))
    means = Samples(answers.masks, mean @ answers.values, np.full(30, 2.0), mean @ data.asked)
    found = covariance(given, signs(means.masks), signs(means.masks), means.overlap)
    np.testing.assert_allclose(found, mean @ expected @ mean.T, atol=1e-12)


def test_gradient_with_answers_is_that_of_finite_differences():
    answers = some_answers()
    data, logs = samples_of(answers), prior().pack()

    def loss(at):
        return objective(at, signs(data.masks), data.values, data.counts, overlap=data.overlap)

    _, slope = loss(logs)
    for i in range(len(logs)):
        step = np.zeros_like(logs)
        step[i] = 1e-5
        expected = (loss(logs + step)[0] - loss(logs - step)[0]) / 2e-5
        assert slope[i] == pytest.approx(expected, rel=1e-5, abs=1e-6), i
    assert len(logs) == N + 7 and Prior.unpack(logs, N).question == pytest.approx((0.7, 0.2, 0.4))


def exact_mean(given, answers, at, *, noise=True):
    """Mean and variance of the mean over all questions at some masks, from the joint normal."""
    masks, asked = answers.masks[answers.mask], answers.question
    cov = joint_covariance(given, masks, asked, masks, asked) + given.noise * np.eye(len(asked))
    every = np.tile(np.arange(E), len(at))
    of_mean = np.kron(np.eye(len(at)), np.full((1, E), 1 / E))
    wide = np.repeat(at, E, axis=0)
    cross = of_mean @ joint_covariance(given, wide, every, masks, asked)
    own = of_mean @ joint_covariance(given, wide, every, wide, every) @ of_mean.T
    mean = cross @ np.linalg.solve(cov, answers.values)
    variance = np.diagonal(own - cross @ np.linalg.solve(cov, cross.T))
    return mean, variance


def test_posterior_is_that_of_the_mean_over_all_questions():
    answers, given = some_answers(), prior()
    posterior = condition(given, samples_of(answers), shift=0.0, scale=1.0)
    at = sm.designs.uniform(N, 9, seed=5).masks
    mean, variance = exact_mean(given, answers, at)
    np.testing.assert_allclose(posterior(at), mean, atol=1e-10)
    std = posterior.std(at, noise=False) / posterior.inflation
    np.testing.assert_allclose(std, np.sqrt(variance), atol=1e-8)


def test_levels_are_the_posterior_means_of_the_questions_own_constants():
    answers, given = some_answers(), prior()
    posterior = condition(given, samples_of(answers), shift=0.0, scale=1.0)
    masks, asked = answers.masks[answers.mask], answers.question
    cov = joint_covariance(given, masks, asked, masks, asked) + given.noise * np.eye(len(asked))
    cross = given.question[0] * (np.arange(E)[:, None] == asked[None, :])
    np.testing.assert_allclose(
        levels_of(posterior), cross @ np.linalg.solve(cov, answers.values), atol=1e-10
    )


def test_left_out_means_are_those_from_the_other_masks_alone():
    answers, given = some_answers(), prior()
    data = AnswerSamples.of(answers, np.random.default_rng(0))
    posterior = condition(given, data.samples, shift=0.0, scale=1.0)
    fold = np.arange(len(data.masks)) % 4
    mean, std = means_left_out(posterior, data, fold)
    for k in range(4):
        rest = data.answers.of_masks(np.flatnonzero(fold != k))
        expected, variance = exact_mean(given, rest, data.masks[fold == k])
        np.testing.assert_allclose(mean[fold == k], expected, atol=1e-9)
        np.testing.assert_allclose(
            std[fold == k] / posterior.inflation, np.sqrt(variance), atol=1e-7
        )


def test_equal_masks_are_one_mask_with_the_answers_of_both():
    masks = np.repeat(sm.designs.uniform(N, 6, seed=0).masks, 2, axis=0)
    asked = np.array([[0, 1], [1, 3]] * 6)
    values = np.random.default_rng(0).normal(size=asked.shape)
    values[1::2, 0] = values[0::2, 1]  # the same question under the same mask
    data = AnswerSamples.of(Answers.of_asked(masks, asked, values, E), np.random.default_rng(0))
    assert len(data.masks) == 6 and (data.answers.counts == 3).all()


def test_many_answers_are_averaged_mask_by_mask(monkeypatch):
    monkeypatch.setattr(of_answers, "MAX_ROWS", 40)
    answers = some_answers()
    data = AnswerSamples.of(answers, np.random.default_rng(0))
    assert len(data.samples.values) == len(data.masks) < len(answers)
    np.testing.assert_allclose(data.samples.asked.sum(axis=1), 1.0)
    for row in range(5):
        own = data.answers.mask == row
        assert data.samples.values[row] == pytest.approx(data.answers.values[own].mean())
        assert data.samples.asked[row, data.answers.question[own]] == pytest.approx(1 / own.sum())


def test_noise_is_measured_between_answers_under_one_mask():
    rng = np.random.default_rng(0)
    masks = rng.random((400, N)) < 0.5
    asked = asked_questions(np.full(400, 2), 30, seed=0).reshape(-1, 2)
    level = rng.normal(0, 9, 30)
    values = masks.sum(axis=1)[:, None] + level[asked] + rng.normal(0, 3.0, asked.shape)
    answers = Answers.of_asked(masks, asked, values, 30)
    found = noise_of(answers, level, None)
    np.testing.assert_allclose(found, 9.0 * (1 / 2 - 1 / 30), rtol=0.25)


def r2(spectrum, masks, truth):
    return 1 - ((spectrum(masks) - truth) ** 2).mean() / truth.var()


@pytest.mark.parametrize("n, rows", [(12, 320), (36, 520)])
def test_few_questions_tell_more_for_the_same_rows_and_say_how_much(n, rows):
    quiz = Quiz(n, 20)
    fresh = sm.designs.uniform(n, 500, seed=99).masks
    truth = quiz(fresh)
    spread = sm.evaluate(quiz, sm.designs.uniform(n, rows, seed=1), questions=1)
    whole = sm.evaluate(quiz, sm.designs.uniform(n, rows // 20, seed=1))
    for method in ("walsh_gp", "lasso", "proxyspex"):
        good = sm.decode(spread.design, spread, method=method, seed=0)
        assert r2(good, fresh, truth) > {"lasso": 0.6, "proxyspex": 0.6}.get(method, 0.8)
        if len(whole.masks) >= 20:
            assert r2(good, fresh, truth) > r2(
                sm.decode(whole.design, whole, method=method, seed=0), fresh, truth
            )
    best = sm.decode(spread.design, spread, seed=0)
    assert best.info["answers"] == rows and r2(best, fresh, truth) > 0.8
    some = sm.evaluate(quiz, sm.designs.uniform(n, rows // 2, seed=1), questions=2)
    told = sm.decode(some.design, some, seed=0)
    assert abs(told.info["r2_cv"] - r2(told, fresh, truth)) < 0.15


def test_the_level_of_a_question_moves_nothing_but_the_constant():
    run = sm.evaluate(Quiz(10, 8), sm.designs.uniform(10, 120, seed=1), questions=1)
    before = sm.decode(run.design, run, method="walsh_gp", seed=0)
    answers = run.answers
    moved = Answers(
        answers.masks, answers.mask, answers.question,
        answers.values + 0.3 * (answers.question == 3), 8,
    )  # fmt: skip
    after = sm.decode(run.design, moved, method="walsh_gp", seed=0)
    fresh = sm.designs.uniform(10, 200, seed=9).masks
    change = after(fresh) - before(fresh)
    assert change.std() < 0.05 * before(fresh).std()


def test_a_run_of_whole_masks_is_its_values():
    run = sm.evaluate(Quiz(8, 6), sm.designs.uniform(8, 60, seed=1))
    assert dict(sm.decode(run.design, run, seed=3)) == dict(
        sm.decode(run.design, run.values, seed=3)
    )


def test_answers_under_other_masks_or_too_few_are_refused():
    run = sm.evaluate(Quiz(8, 6), sm.designs.uniform(8, 60, seed=1), questions=1)
    with pytest.raises(sm.InputError, match="not the design's"):
        sm.decode(sm.designs.uniform(8, 60, seed=2), run)
    few = sm.evaluate(Quiz(8, 6), sm.designs.uniform(8, 5, seed=1), questions=1)
    with pytest.raises(sm.InputError, match="distinct masks"):
        sm.decode(few.design, few)


def of_quiz(own=1.0, method="walsh_gp"):
    quiz = Quiz(10, 8, own=own)
    run = sm.evaluate(quiz, sm.designs.biased(10, 900, keep_rate=(0.4, 0.9), seed=1), questions=1)
    return quiz, sm.decode(run.design, run, method=method, seed=0)


@pytest.mark.parametrize("method", ["walsh_gp", "stack"])
def test_each_questions_own_spectrum_predicts_that_question(method):
    quiz, spectrum = of_quiz(method=method)
    fresh = sm.designs.biased(10, 300, keep_rate=(0.4, 0.9), seed=7).masks
    truth = quiz.scores(fresh).astype(float)
    own = np.stack([spectrum.question(j)(fresh) for j in range(8)], axis=1)
    spread = truth - truth.mean(axis=1, keepdims=True)
    spread -= spread.mean(axis=0)
    found = own - own.mean(axis=1, keepdims=True)
    found -= found.mean(axis=0)
    assert 1 - ((found - spread) ** 2).mean() / spread.var() > 0.95
    np.testing.assert_allclose(own.mean(axis=1), spectrum(fresh), atol=1e-8)
    for bad in (-1, 8):
        with pytest.raises(sm.InputError, match="no question"):
            spectrum.question(bad)
    with pytest.raises(sm.InputError, match="knows nothing of single questions"):
        sm.decode(sm.designs.uniform(4, 16, seed=0), np.arange(16.0)).question(0)


def test_effects_on_questions_are_mean_differences_of_predictions():
    _, spectrum = of_quiz()
    gp = spectrum.predictor
    masks, rates, table = all_masks(10), rates_of(gp), effects(gp)
    weights = np.where(masks, rates, 1 - rates).prod(axis=1)
    for j in (0, 5):
        predicted = spectrum.question(j)(masks)
        for i in range(10):
            flipped = predicted[np.arange(1024) ^ (1 << i)]
            difference = np.where(masks[:, i], predicted - flipped, flipped - predicted) @ weights
            assert table[i, j] == pytest.approx(difference, abs=1e-9)


def test_questions_that_use_the_same_parts_are_grouped():
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(3, 20))
    labels = np.repeat([0, 1, 2], [5, 9, 6])[rng.permutation(20)]
    table = 0.3 * rng.normal(size=(20, 20)) + kinds[labels].T
    order, groups = grouped(table)
    assert len(np.unique(groups)) == 3
    for kind in range(3):
        assert len(np.unique(groups[labels == kind])) == 1
    assert (np.diff(groups[order]) >= 0).all() and sorted(order) == list(range(20))
    assert not grouped(rng.normal(size=(20, 20)))[1].any()


def test_effects_are_none_of_whole_masks():
    run = sm.evaluate(Quiz(8, 6), sm.designs.uniform(8, 60, seed=1))
    assert question_effects(sm.decode(run.design, run, method="walsh_gp")) is None
    _, spectrum = of_quiz(method="stack")
    found = question_effects(spectrum)
    assert found.effects.shape == (10, 8)


@pytest.mark.parametrize("method", ["auto", "stack", "walsh_gp", "lasso", "proxyspex", "exact"])
def test_answers_that_no_mask_changes_have_a_constant_alone(method):
    """Such as accuracies of an easy task, which are all 1, or the same questions right under every mask."""
    answers = some_answers(60)
    for values in (np.ones(len(answers)), (answers.question % 2).astype(float)):
        flat = Answers(answers.masks, answers.mask, answers.question, values, E)
        design = sm.MaskDesign(answers.masks, 0)
        spectrum = sm.decode(design, flat, method=method)
        assert spectrum.top(5, include_empty=True) == [
            ((), values[:1].item() if values.min() else 0.4)
        ]
        assert spectrum.info["r2_cv"] == 0.0
        assert "changes with the mask: the answer is the constant alone" in spectrum.info["message"]


def test_one_answer_to_each_question_says_nothing_of_what_masks_change():
    masks = sm.designs.uniform(N, 40, seed=0).masks
    values = masks[:, 0] + 0.5 * masks[:, 3]
    answers = Answers(masks, np.arange(40), np.arange(40), values, 40)
    spectrum = sm.decode(sm.MaskDesign(masks, 0), answers, method="walsh_gp")
    assert spectrum.info["r2_cv"] > 0 and len(spectrum) > 1
