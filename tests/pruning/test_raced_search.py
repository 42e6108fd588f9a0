"""Searches and baselines that spend questions: budgets in rows, nothing asked twice, exact values."""

from __future__ import annotations

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.core.errors import InputError
from spex_mech.core.masks import all_masks
from spex_mech.pruning import methods
from spex_mech.pruning.compare import METHODS, choose_all
from spex_mech.pruning.curve import PruningCurve, prune_curve
from spex_mech.pruning.methods import Metered, Problem, Remembered
from spex_mech.pruning.moves import AllowedSets
from spex_mech.pruning.prune import OURS, Pruned, prune
from spex_mech.pruning.size import choose_size
from spex_mech.pruning.size_race import SizeRule
from spex_mech.pruning.state import SearchState
from tests.shared.quiz import Quiz

N, E = 12, 20
DESIGN = sm.designs.biased(N, 40, keep_rate=(0.3, 0.9), seed=0)
ASKING = {
    OURS: methods.surrogate_search(method="lasso"),
    "lasso ranking": methods.lasso_ranking(),
    "knock-out": methods.knock_out,
    "stratified knock-outs": methods.stratified_knock_outs(),
    "greedy removal": methods.greedy_removal,
    "best of random": methods.best_of_random,
}


def quiz(**options) -> Quiz:
    return Quiz(N, E, **{"own": 0.7, "seed": 4, **options})


def surrogate():
    game = quiz()
    return sm.decode(DESIGN, game(DESIGN.masks), method="lasso", order=1)


def values_of(masks: np.ndarray) -> np.ndarray:
    return quiz()(masks)


def test_all_questions_give_the_numbers_that_they_gave_before_there_were_races():
    game = quiz()
    run = sm.evaluate(game, DESIGN)
    curve = prune_curve(game, surrogate(), keeps=(9, 6, 3), validate=40, known=run, seed=1)
    found = [np.flatnonzero(p.mask).tolist() for p in curve.points]
    assert found == [[0, 1, 2, 3, 4, 6, 8, 10, 11], [2, 4, 6, 8, 10, 11], [4, 8, 10]]
    measured = [7.142714142799377, 6.929797132313252, 4.879272530972957]
    np.testing.assert_allclose([p.measured for p in curve.points], measured, rtol=1e-12)
    expected = [7.0615636837000935, 6.887232566045703, 4.334386970044707]
    np.testing.assert_allclose([p.expected for p in curve.points], expected, rtol=1e-6)
    assert curve.ablations == 40


@pytest.mark.parametrize("questions", ["all", "auto"])
def test_a_game_that_is_asked_all_questions_is_searched_as_ever(questions):
    plain = prune(values_of, surrogate(), keep=5, validate=30, questions=questions, seed=2)
    asked = prune(quiz(), surrogate(), keep=5, validate=30, questions="all", seed=2)
    np.testing.assert_array_equal(plain.mask, asked.mask)
    assert (plain.measured, plain.expected) == (asked.measured, asked.expected)


@pytest.mark.parametrize("known", ["nothing", "whole masks", "some questions"])
@pytest.mark.parametrize("validate", [1, 7, 25])
def test_a_search_spends_rows_and_measures_what_it_returns_on_all_questions(known, validate):
    game = quiz()
    questions = {"nothing": None, "whole masks": "all", "some questions": 3}[known]
    run = None if questions is None else sm.evaluate(game, DESIGN, questions=questions)
    before = len(game.asked)
    curve = prune_curve(
        game, surrogate(), keeps=(9, 6, 3), validate=validate, known=run, questions="auto", seed=1
    )
    spent = len(game.asked) - before
    assert spent <= validate * E and -(-spent // E) == curve.ablations <= validate
    assert len(set(game.asked)) == len(game.asked)
    for point in curve.points:
        pairs = {q for mask, q in game.asked if mask == point.mask.tobytes()}
        if point.measured is None:
            assert len(pairs) < E and validate < 25
        else:
            assert len(pairs) == E
            assert point.measured == pytest.approx(values_of(point.mask[None])[0], abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_races_try_more_sets_for_the_same_rows_and_find_no_worse(seed):
    tried, values = {}, {}
    six = AllowedSets(N, 6)
    for questions in ("all", "auto"):
        game = quiz(seed=seed, own=0.4)
        nothing = sm.Spectrum.from_supports([()], [0.0], N)
        found = prune(game, nothing, keep=6, validate=24, questions=questions, seed=seed)
        tried[questions] = len({mask for mask, _ in game.asked})
        values[questions] = found.measured
    best = quiz(seed=seed, own=0.4)(all_masks(N)[six.allows(all_masks(N))]).max()
    assert tried["auto"] > 1.3 * tried["all"]
    assert values["auto"] >= values["all"] - 1e-6 and values["auto"] > 0.9 * best


def test_losers_correct_the_surrogate_and_are_never_returned():
    game, four = quiz(own=0.3), AllowedSets(N, 4)
    masks = all_masks(N)[four.allows(all_masks(N))]
    masks = masks[np.argsort(values_of(masks), kind="stable")][:: len(masks) // 40]
    state = SearchState(game, surrogate(), questions="auto", seed=0)
    while (new := masks[state.is_new(masks)]).size:
        state.try_sets(new[::-1], four, 200)
    assert len(state.masks) == len(masks)
    part = state.counts < 1
    assert part.sum() > len(masks) // 3
    best, measured = state.best(four, state.count)
    assert len(best) == (~part).sum()
    np.testing.assert_allclose(measured, game(best), atol=1e-6)
    # An estimate from q of the questions is about as far off as answers differ over the root of q.
    assert np.abs(state.values - game(state.masks)).max() < 1.5
    before = np.abs(surrogate()(masks) - game(masks)).mean()
    assert np.abs(state.full(masks) - game(masks)).mean() < 0.6 * before


def test_a_claim_is_judged_on_all_questions():
    class Graded(Quiz):
        def per_example(self, scores, *, metric=None):
            return (scores > 5).astype(float) if metric == "accuracy" else scores.astype(float)

    game, nothing = Graded(N, E, own=0.7, seed=4), sm.Spectrum.from_supports([()], [0.0], N)
    options = {"keep": 6, "validate": 20, "claim": "accuracy"}
    found = prune(game, nothing, questions="auto", seed=0, **options)
    assert found.measured == pytest.approx(values_of(found.mask[None])[0], abs=1e-6)
    assert len(set(game.asked)) == len(game.asked) <= 20 * E


@pytest.mark.parametrize("name", list(ASKING))
@pytest.mark.parametrize("budget", [16, 40])
def test_every_method_spends_rows_and_no_more_than_its_budget(name, budget):
    game = quiz()
    found = choose_all(
        Remembered(game),
        (9, 6, 4),
        budget=budget,
        seed=3,
        methods={name: ASKING[name]},
        questions="auto",
    )
    assert [c.keep for c in found] == [9, 6, 4]
    rows = len(game.asked)
    assert len(set(game.asked)) == rows <= budget * E
    assert found[0].ablations == -(-rows // E)
    if name in (OURS, "best of random", "lasso ranking"):
        assert rows > 0.7 * budget * E
    for point in found:
        if point.measured is not None:
            assert point.measured == pytest.approx(values_of(point.mask[None])[0], abs=1e-6)


def test_greedy_removal_takes_smaller_steps_for_the_same_rows():
    def path(questions):
        problem = Problem(Metered(quiz(own=0.2), 25), (6, 4), 0, questions)
        found = methods.greedy_removal(problem)
        return np.stack([p.mask for p in found]), problem.game

    whole, meter = path("all")
    raced, raced_meter = path("auto")
    assert meter.spent <= 25 and raced_meter.spent <= 25
    values = values_of(whole), values_of(raced)
    assert (values[1] >= values[0] - 0.05).all()
    with pytest.raises(InputError, match="needs at least 5 ablations"):
        methods.greedy_removal(Problem(Metered(quiz(), 4), (6,), 0, "auto"))


def test_knock_out_asks_all_players_what_the_budget_pays_for():
    def top(budget, questions):
        game = quiz()
        found = methods.knock_out(Problem(Metered(game, budget), (6,), 0, questions))
        return found[0].mask, len(game.asked)

    whole, rows = top(12, "auto")
    assert rows == 12 * E
    np.testing.assert_array_equal(whole, top(12, "all")[0])
    assert top(3, "auto")[1] == 12 * 5


def test_stratified_knock_outs_ask_more_masks_for_the_same_rows():
    def found(questions):
        game = quiz(own=0.1)
        chosen = methods.stratified_knock_outs(0.5)(Problem(Metered(game, 12), (6,), 0, questions))
        return chosen[0].mask, len({mask for mask, _ in game.asked}), len(game.asked)

    few, masks, rows = found("auto")
    whole, all_asked, most = found("all")
    assert masks > 5 * all_asked and 0.9 * most < rows <= most == 12 * E
    best = quiz(own=0.1)(np.stack([few, whole]))
    assert best[0] >= best[1]


def test_a_design_that_was_asked_some_questions_is_counted_in_rows():
    game = quiz()
    run = sm.evaluate(game, DESIGN, questions=2)
    spectrum = sm.decode(DESIGN, run, method="lasso", order=1)
    for method in (methods.surrogate_search(run, spectrum), methods.lasso_ranking(run)):
        meter = Metered(game, 4)
        found = method(Problem(meter, (6,), 0, "auto"))
        assert found[0].mask.sum() == 6
        assert meter.rows >= 80 - 2 and meter.spent == 4
    with pytest.raises(InputError, match="4 ablations were asked for when 0 of the budget of 3"):
        methods.lasso_ranking(run)(Problem(Metered(game, 3), (6,), 0, "auto"))


def test_the_same_seed_gives_the_same_sets():
    def masks(seed):
        found = prune_curve(
            quiz(), surrogate(), keeps=(9, 3), validate=8, questions="auto", seed=seed
        )
        return found.masks

    np.testing.assert_array_equal(masks(5), masks(5))


def test_bad_input():
    with pytest.raises(InputError, match="questions is 'some', expected 'all', or 'auto'"):
        prune(quiz(), surrogate(), keep=5, questions="some")
    with pytest.raises(InputError, match="questions is 'some', expected 'all', or 'auto'"):
        choose_all(quiz(), (6,), budget=40, seed=0, methods={OURS: METHODS[OURS]}, questions="some")


def test_the_smallest_set_reaches_its_value_by_all_questions():
    game, truth = quiz(own=0.3), values_of(np.ones((1, N), bool))[0]
    at_least = 0.8 * float(truth)
    found = sm.smallest(game, surrogate(), at_least=at_least, validate=60, questions="auto", seed=0)
    assert found.measured >= at_least and found.ablations <= 60
    pairs = {q for mask, q in game.asked if mask == found.mask.tobytes()}
    assert len(pairs) == E and len(set(game.asked)) == len(game.asked) <= 60 * E
    exact = quiz(own=0.3)(found.mask[None])[0]
    assert found.measured == pytest.approx(exact, abs=1e-6)
    whole = sm.smallest(quiz(own=0.3), surrogate(), at_least=at_least, validate=60, seed=0)
    assert found.keep <= whole.keep


def curve_of(sizes) -> PruningCurve:
    ranking = np.argsort(-quiz().effects, kind="stable")
    masks = [np.isin(np.arange(N), ranking[:k]) for k in sizes]
    return PruningCurve(tuple(Pruned(mask, 0.0, None, 0) for mask in masks), 0)


class Validation(Quiz):
    def per_question(self, masks, *, metric=None):
        return self.scores(masks).astype(float)


def validation() -> Validation:
    return Validation(N, 60, own=0.7, seed=4)


@pytest.mark.parametrize("tolerance", [0.5, 2.0, 5.0])
def test_sizes_are_asked_until_they_are_shown_to_pass_or_fail(tolerance, tmp_path):
    curve, game = curve_of([11, 10, 8, 6, 4, 2]), validation()
    whole = validation()
    gaps = whole(np.ones((1, N), bool)) - whole(curve.masks)
    options = {"tolerance": tolerance, "errors": 0.0}
    try:
        expected = choose_size(curve, whole, **options)
    except InputError:
        with pytest.raises(InputError, match="no size of the curve passes"):
            choose_size(curve, game, questions="auto", **options)
        assert gaps[0] > tolerance
        return
    found = choose_size(curve, game, questions="auto", **options)
    assert found.keep == expected.keep and found.passed == expected.passed
    # What is chosen has answered everything, and nothing is asked twice.
    assert found.losses[found.keep].n == 60
    assert found.losses[found.keep].mean == pytest.approx(expected.losses[found.keep].mean)
    assert found.rows == len(set(game.asked)) == len(game.asked) < expected.rows == 7 * 60
    assert set(found.losses) == {*found.passed, *[k for k in curve.sizes if k < found.keep][:1]}
    stored = validation()
    again = choose_size(curve, stored, questions="auto", store=tmp_path / "s", **options)
    assert again.losses == found.losses
    more = validation()
    choose_size(curve, more, questions="auto", store=tmp_path / "s", **options)
    assert not more.asked


def test_verdicts_on_a_part_are_seldom_those_of_chance():
    rule, rng, wrong = SizeRule(0.0, 1.0), np.random.default_rng(0), 0
    for _ in range(300):
        gaps = rng.normal(rng.normal(0.1, 0.2), 1.0, 60)
        for stage in (8, 16, 32):
            verdict = rule.verdict(gaps[:stage], 60, 0.05 / 6)
            if verdict is not None:
                wrong += verdict != rule.passes(gaps)
                break
    assert wrong <= 15  # 5 % of 300
    assert rule.verdict(np.zeros(8), 60, 0.05) is None  # no difference yet is no proof of none
