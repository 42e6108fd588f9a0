"""Choosing a size on validation questions: the rule by hand, and no question scored twice."""

from __future__ import annotations

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.core.errors import InputError
from spex_mech.core.estimates import bootstrap_mean
from spex_mech.evaluation.wrappers import per_question
from spex_mech.pruning.curve import PruningCurve, prune_curve
from spex_mech.pruning.prune import Pruned
from spex_mech.pruning.size import check_disjoint, choose_size


@pytest.fixture(scope="module")
def games():
    """Search and validation games of the embedded model on short prompts, heads of two layers."""
    model = sm.load_model("embedded")
    task = sm.load_task("embedded/capitals").first(6).first(16, "validation")
    game = sm.TaskGame(model, task, sm.select_players(model, "heads:0-1"), metric="margin")
    return game, game.with_split("validation")


@pytest.fixture(scope="module")
def curve(games):
    rng = np.random.default_rng(0)
    masks = [rng.permutation(16) < k for k in (15, 13, 10, 6, 2)]
    return PruningCurve(tuple(Pruned(mask, 0.0, None, 0) for mask in masks), 0)


@pytest.fixture(scope="module")
def gaps(games, curve):
    game = games[1]
    full = game.per_example(game.scores(np.ones((1, 16), bool)))
    return full - game.per_example(game.scores(curve.masks))


@pytest.mark.parametrize(
    ("tolerance", "errors"), [(0.0, 1.0), (2.0, -1.64), (3.0, 1.0), (99.0, 0.0)]
)
def test_the_rule_by_hand(games, curve, gaps, tolerance, errors):
    noise = gaps.std(axis=1, ddof=1) / 4.0  # 16 questions
    passes = gaps.mean(axis=1) <= tolerance + errors * noise
    expected = curve.sizes[: int(np.argmin(passes)) if not passes.all() else len(passes)]
    if not expected:
        with pytest.raises(InputError, match="no size of the curve passes in margin with tol"):
            choose_size(curve, games[1], tolerance=tolerance, errors=errors)
        return
    choice = choose_size(curve, games[1], tolerance=tolerance, errors=errors, searched=games[0])
    assert list(choice.passed) == expected and choice.keep == expected[-1]
    assert choice.pruned is curve.at(choice.keep) and choice.metric == "margin"
    for row, size in enumerate(curve.sizes):
        assert choice.losses[size] == bootstrap_mean(gaps[row], seed=0)
        assert choice.standard_errors[size] == pytest.approx(noise[row])


def test_the_tolerances_above_choose_different_sizes(games, curve, gaps):
    """So that the test of the rule is one of four cases."""
    chosen = {choose_size(curve, games[1], tolerance=t).keep for t in (2.0, 4.0, 99.0)}
    assert len(chosen) >= 2 and 2 in chosen


def test_a_lucky_small_size_behind_a_failed_one_is_not_chosen(games, curve):
    full = Pruned(np.ones(16, bool), 0.0, None, 0)
    # Sizes 16 and 2, then 15: the order is that of the curve.
    hard = PruningCurve((full, curve.points[-1], curve.points[0]), 0)
    assert choose_size(hard, games[1], tolerance=3.0).passed == (16,)


def test_another_metric_and_a_store(games, curve, tmp_path):
    table = per_question(games[1], curve.masks, metric="accuracy", store=tmp_path / "s")
    game = games[1]
    assert {*np.unique(table)} <= {0.0, 1.0}
    np.testing.assert_array_equal(
        table, game.per_example(game.scores(curve.masks), metric="accuracy")
    )
    stored = sm.open_run(tmp_path / "s")
    np.testing.assert_array_equal(per_question(stored, curve.masks, metric="accuracy"), table)
    choice = choose_size(curve, stored, metric="margin", tolerance=99.0)
    assert choice.losses == choose_size(curve, game, tolerance=99.0).losses


def test_a_searched_curve_end_to_end(games):
    """From design to size; the chosen size loses no more than the rule allows."""
    game, validation = games
    design = sm.designs.biased(16, 60, keep_rate=(0.4, 0.95), seed=0)
    run = sm.evaluate(game, design)
    spectrum = sm.decode(design, run.values, method="walsh_gp", seed=0)
    curve = prune_curve(game, spectrum, keeps=[14, 8], validate=24, known=run, claim="accuracy")
    right = game.per_example(game.scores(curve.masks), metric="accuracy").mean(axis=1)
    plain = prune_curve(game, spectrum, keeps=[14, 8], validate=24, known=run)
    other = game.per_example(game.scores(plain.masks), metric="accuracy").mean(axis=1)
    assert (right >= other).all()
    choice = choose_size(curve, validation, searched=game, tolerance=1.0)
    assert choice.losses[choice.keep].mean <= 1.0 + choice.standard_errors[choice.keep]


def test_questions_of_the_search_are_refused(games, curve):
    search, validation = games
    with pytest.raises(InputError, match="6 of 6 questions to be scored were searched on"):
        choose_size(curve, search, searched=search)
    check_disjoint(search, validation)
    tokens = sm.TaskGame(search.model, sm.TokenTask([[1, 2, 3]]), search.players, metric="logprob")
    with pytest.raises(InputError, match="validation"):
        tokens.with_split("validation")


def test_bad_choices(games, curve):
    wide = PruningCurve((Pruned(np.ones(17, bool), 0.0, None, 0),), 0)
    with pytest.raises(InputError, match="the curve has 17 players, the game 16"):
        choose_size(wide, games[1])
    with pytest.raises(InputError, match="tolerance is -1"):
        choose_size(curve, games[1], tolerance=-1.0)


def test_stores_that_cannot_score(games, curve, tmp_path):
    """Values without questions, questions of the search, masks that were never evaluated."""
    design = sm.MaskDesign(masks=curve.masks, seed=0)
    sm.evaluate(lambda masks: masks.mean(axis=1), design, store=tmp_path / "values")
    with pytest.raises(InputError, match="examples"):
        per_question(sm.open_run(tmp_path / "values"), curve.masks, metric="accuracy")
    search, validation = games
    sm.evaluate(search, design, store=tmp_path / "search")
    with pytest.raises(InputError, match="6 of 6 questions to be scored were searched on"):
        choose_size(curve, sm.open_run(tmp_path / "search"), searched=search, metric="margin")
    sm.evaluate(validation, sm.MaskDesign(masks=curve.masks[:2], seed=0), store=tmp_path / "some")
    with pytest.raises(InputError, match="are not stored in"):
        choose_size(curve, sm.open_run(tmp_path / "some"), metric="margin")
    stored = sm.open_run(tmp_path / "search")
    choice = choose_size(curve, stored, tolerance=99.0)
    assert choice.metric == "margin"
