"""Evaluating in rounds until the surrogate is good enough."""

import numpy as np
import pytest

import spex_mech as sm
from spex_mech import designs
from spex_mech.core.errors import InputError
from spex_mech.core.faithfulness import faithfulness
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.explain import explain
from spex_mech.evaluation.evaluate import evaluate
from tests.shared.quiz import Quiz

N = 12
PLANTED = Spectrum.from_supports(
    [(), (0,), (1,), (2,), (3,), (0, 1), (2, 3), (0, 1, 2)],
    [1.0, 2.0, -1.0, 0.5, 0.7, 1.5, -0.8, 0.6],
    N,
)


class Counted:
    """The planted game; remembers every mask that it was asked for."""

    def __init__(self, game=PLANTED):
        self.game, self.asked = game, []

    def __call__(self, masks):
        self.asked.extend(row.tobytes() for row in masks)
        return self.game(masks)


def test_stops_at_the_target_and_says_what_it_spent():
    game = Counted()
    found = explain(game, budget=1000, target_r2=0.9, n=N, method="walsh_gp")
    assert found.reached
    assert found.rounds[-1].r2 >= 0.9
    assert all(r.r2 < 0.9 for r in found.rounds[:-1])
    assert len(found.run.masks) == found.rounds[-1].masks < 1000
    assert f"{found.rounds[-1].masks} of 1000 masks" in found.message
    fresh = designs.uniform(N, 2000, seed=99).masks
    assert faithfulness(found.spectrum, fresh, PLANTED(fresh)) > 0.85


def test_no_mask_is_evaluated_twice():
    game = Counted()
    found = explain(game, budget=300, n=N, method="lasso")
    assert len(game.asked) == len(set(game.asked))
    assert set(game.asked) == {row.tobytes() for row in found.run.masks}
    assert [r.masks for r in found.rounds] == [64, 96, 144, 216, 300]
    assert not found.reached
    np.testing.assert_array_equal(found.run.values, PLANTED(found.run.masks))


def test_a_longer_run_begins_with_the_masks_of_a_shorter_one():
    short = explain(PLANTED, budget=500, target_r2=0.01, n=N, method="lasso")
    long = explain(PLANTED, budget=500, n=N, method="lasso")
    assert short.reached
    assert len(short.run.masks) == 64
    np.testing.assert_array_equal(short.run.masks, long.run.masks[:64])
    np.testing.assert_array_equal(
        long.run.masks, designs.biased(N, 500, keep_rate=0.5, seed=0).masks
    )


def test_a_target_out_of_reach_is_said():
    noise = np.random.default_rng(0).normal(size=1 << N)
    game = Counted(lambda masks: noise[masks @ (1 << np.arange(N))])
    found = explain(game, budget=120, target_r2=0.9, n=N, method="walsh_gp")
    assert not found.reached
    assert "below the target 0.9" in found.message


def test_shapley_masks_are_weighted_by_size():
    found = explain(PLANTED, budget=200, aim="shapley", n=N, method="lasso")
    np.testing.assert_array_equal(found.run.masks, designs.stratified(N, 200, seed=0).masks)


def test_an_index_has_masks_of_its_own():
    found = explain(PLANTED, budget=200, index="SII", n=N, method="lasso")
    np.testing.assert_array_equal(found.run.masks, designs.leverage(N, 200, seed=0).masks)
    assert not found.run.masks[0].any() and found.run.masks[1].all()
    few = explain(lambda masks: masks @ np.arange(5.0), budget=100, index="Shapley", n=5)
    assert len(few.run.masks) == 32 and few.spectrum.info["method"] == "exact"
    even = explain(PLANTED, budget=90, index="FBII", n=N, method="lasso")
    np.testing.assert_array_equal(even.run.masks, designs.uniform(N, 90, ends=True, seed=0).masks)


def test_a_game_with_questions_is_asked_few_of_them_for_each_mask():
    game = Quiz(N, 20, own=0.5, seed=1)
    found = explain(game, budget=40, target_r2=0.9, method="walsh_gp", keep_rate=0.6)
    assert found.choice.each == 1 and found.reached and found.rounds[0].masks == 192
    assert [f.rows for f in found.rounds] == sorted({f.rows for f in found.rounds})
    # A pair that the design holds twice is asked once.
    assert found.rounds[-1].rows - 5 < len(game.asked) <= found.rounds[-1].rows < 800
    assert f"{found.rounds[-1].rows} of 800 answers" in found.message
    fresh = designs.uniform(N, 500, seed=99).masks
    assert faithfulness(found.spectrum, fresh, Quiz(N, 20, own=0.5, seed=1)(fresh)) > 0.8
    every = explain(Quiz(N, 20), budget=70, index="Shapley", method="lasso")
    assert every.choice is None and every.run.answers is None
    few = explain(Quiz(N, 20), budget=70, index="Shapley", questions=4, method="lasso")
    assert len(few.run.masks) == 350 and (few.run.answers.counts == 4).all()


def test_the_first_round_knows_how_its_masks_were_drawn():
    found = explain(PLANTED, budget=400, target_r2=0.5, index="Shapley", n=N, method="auto")
    assert len(found.run.masks) < 400
    assert found.spectrum.evidence.alike
    values = sm.interactions(found.spectrum, "Shapley").values
    everyone, nobody = np.ones((1, N), bool), np.zeros((1, N), bool)
    total = float((PLANTED(everyone) - PLANTED(nobody))[0])
    assert sum(values.values()) == pytest.approx(total)


def test_rounds_go_on_from_a_store(tmp_path):
    game = Counted()
    first = explain(game, budget=150, n=N, method="lasso", store=tmp_path / "s")
    again = Counted()
    second = explain(again, budget=300, n=N, method="lasso", store=tmp_path / "s")
    assert not set(again.asked) & {row.tobytes() for row in first.run.masks}
    np.testing.assert_array_equal(second.run.masks[:150], first.run.masks)


def test_known_runs_are_not_evaluated_again():
    game = Counted()
    first = evaluate(game, designs.uniform(N, 40, seed=1))
    asked = set(game.asked)
    game.asked.clear()
    both = np.concatenate([first.masks, designs.uniform(N, 40, seed=2).masks])
    second = evaluate(game, designs.MaskDesign(masks=both, seed=0), known=first)
    assert not asked & set(game.asked)
    assert second.evaluated == len(game.asked)
    np.testing.assert_array_equal(second.values, PLANTED(both))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"budget": 1}, "budget is 1"),
        ({"budget": 100, "target_r2": 1.5}, "target_r2 is 1.5"),
        ({"budget": 100, "index": "nSII"}, "index is 'nSII', expected None or one of Shapley"),
        ({"budget": 100, "aim": "fame"}, "aim is 'fame', expected one of values"),
        ({"budget": 100, "keep_rate": 1.5}, "keep_rate is 1.5"),
    ],
)
def test_bad_input(options, match):
    with pytest.raises(InputError, match=match):
        explain(PLANTED, n=N, **options)


def test_a_callable_must_say_how_many_players():
    with pytest.raises(InputError, match=r"n=\.\.\."):
        explain(lambda masks: masks.sum(axis=1), budget=100)
