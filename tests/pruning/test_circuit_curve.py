"""MIB's faithfulness curve: every number in closed form, and intervals against plain code."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import spex_mech as sm
from spex_mech.core.estimates import resampled_means
from spex_mech.pruning.circuit_curve import SIZES, areas, circuit_curve
from spex_mech.report import plots
from tests.shared.planted_game import Planted

WEIGHTS = np.array([1.0, 2.0, 3.0, 4.0])


def additive():
    return Planted(4, lambda x: 1 + x @ WEIGHTS)


def test_a_ranking_by_hand():
    """f is .4, .7 and 1 at a quarter, half and all: CPR = .25 .55 + .5 .85, CMD = .25 .45 + .5 .15."""
    game = additive()
    found = circuit_curve(game, WEIGHTS, sizes=(0.25, 0.5, 1.0))
    np.testing.assert_array_equal(found.masks, [[0, 0, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]])
    assert (found.full.mean, found.empty.mean) == (11, 1)
    assert [e.mean for e in found.values] == [5, 8, 11]
    assert [e.mean for e in found.faithfulness] == pytest.approx([0.4, 0.7, 1.0])
    assert found.cpr.mean == pytest.approx(0.25 * 0.55 + 0.5 * 0.85)
    assert found.cmd.mean == pytest.approx(0.25 * 0.45 + 0.5 * 0.15)
    assert (found.cpr.low, found.cpr.high) == (found.cpr.mean, found.cpr.mean)
    assert game.asked == found.ablations == 4  # the whole model is one of the circuits
    assert "CPR +0.562" in str(found) and "CMD +0.188" in str(found)


def test_circuits_better_than_the_model_count_as_distance():
    """Without the harmful player f is 1.5 at half: CPR = .5 1.25, CMD = .5 .25."""
    game = Planted(2, lambda x: 3 * x[0] - x[1])
    found = circuit_curve(game, np.array([1.0, -1.0]), sizes=(0.5, 1.0))
    assert [e.mean for e in found.faithfulness] == [1.5, 1.0]
    assert (found.cpr.mean, found.cmd.mean) == (0.625, 0.125)


def test_the_benchmarks_sizes_begin_with_the_empty_circuit():
    game = Planted(20, lambda x: x[0])
    found = circuit_curve(game, -np.arange(20.0))
    assert found.masks.sum(axis=1).tolist() == [0, 0, 0, 0, 0, 1, 2, 4, 10, 20]
    f = np.array([0.0] * 5 + [1.0] * 5)
    assert [e.mean for e in found.faithfulness] == f.tolist()
    assert found.cpr.mean == pytest.approx(0.03 / 2 + 0.95)  # a ramp from 2 % to 5 %
    assert found.cmd.mean == pytest.approx(0.019 + 0.03 / 2)
    assert found.ablations == 6


def test_areas_are_trapezoids_on_the_sizes_themselves():
    f, x = np.random.default_rng(0).normal(size=(3, 10)), np.array(SIZES)
    cpr, cmd = areas(f, x)
    for row in range(3):
        steps = range(9)
        by_hand = sum((x[i + 1] - x[i]) * (f[row, i] + f[row, i + 1]) / 2 for i in steps)
        assert cpr[row] == pytest.approx(by_hand)
        g = abs(1 - f[row])
        assert cmd[row] == pytest.approx(
            sum((x[i + 1] - x[i]) * (g[i] + g[i + 1]) / 2 for i in steps)
        )


def test_sets_and_curves_are_taken_as_they_are():
    game, sizes = additive(), (0.25, 0.5, 1.0)
    sets = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 1, 1]], dtype=bool)
    found = circuit_curve(game, sets, sizes=sizes)
    assert [e.mean for e in found.faithfulness] == pytest.approx([0.1, 0.3, 0.9])
    spectrum = sm.exact_spectrum(game(sm.designs.exhaustive(4).masks))
    curve = sm.prune_curve(game, spectrum, keeps=[1, 3], validate=20, seed=0)
    found = circuit_curve(game, curve, sizes=(0.1, 0.25, 0.5, 0.8, 1.0))
    assert found.masks.astype(int).tolist() == [
        [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 1, 1, 1], [1, 1, 1, 1]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([4, 3, 2, 1], 1.0), ([1, 3, 2, 4], 0.25), ([1, 1, 1, 1], 0.5), ([4, 1, 2, 3], 0.5)],
)
def test_auroc_is_the_share_of_pairs_in_order(scores, expected):
    truth = np.array([True, True, False, False])
    found = circuit_curve(additive(), np.array(scores, dtype=float), sizes=(0.5, 1.0), truth=truth)
    assert found.auroc == expected


def test_intervals_resample_whole_questions(tiny_llama):
    rng = np.random.default_rng(0)
    ids = rng.integers(1, 61, (8, 7))
    likely = tiny_llama.hf(torch.tensor(ids)).logits[:, -1].argsort(descending=True)
    task = sm.TokenTask(ids, answers=likely[:, [0, 30, 60]])
    players = sm.select_players(tiny_llama, "heads")
    game = sm.TaskGame(tiny_llama, task, players, metric="logprob")
    scores, sizes = rng.normal(size=12), np.array([0.1, 0.5, 0.75, 1.0])
    found = circuit_curve(game, scores, sizes=sizes, seed=3)
    ends = np.stack([np.ones(12, dtype=bool), np.zeros(12, dtype=bool)])
    table = game.per_question(np.concatenate([ends, found.masks]))
    assert [e.mean for e in found.values] == pytest.approx(table[2:].mean(axis=1).tolist())
    for name in ("margin", "kl"):
        means = game.per_question(found.masks, metric=name).mean(axis=1)
        assert [e.mean for e in found.beside[name]] == pytest.approx(means.tolist(), abs=1e-6)
    drawn = resampled_means(table.T, 3, 10_000)
    f = (drawn[:, 2:] - drawn[:, 1:2]) / (drawn[:, :1] - drawn[:, 1:2])
    low, high = np.quantile(np.trapezoid(f, sizes), [0.025, 0.975])
    assert (found.cpr.low, found.cpr.high) == pytest.approx((low, high))
    assert found.faithfulness[-1].low == found.faithfulness[-1].high == 1


class Asked(Planted):
    """Questions whose values scale that of the planted game."""

    scale = 1 + 0.2 * np.random.default_rng(1).normal(size=40)

    def scores(self, masks):
        return (super().__call__(masks)[:, None] * self.scale).astype(np.float32)

    def per_example(self, scores):
        return scores.astype(np.float64)

    def values_from_scores(self, scores):
        return self.per_example(scores).mean(axis=1)

    def __call__(self, masks):
        return self.values_from_scores(self.scores(masks))


def test_a_ratio_to_the_same_questions_has_no_noise():
    """Where every question scales alike, f is the same on all samples of questions."""
    found = circuit_curve(Asked(4, lambda x: x @ WEIGHTS), WEIGHTS, sizes=(0.25, 1.0))
    assert found.full.high - found.full.low > 0.5
    f = found.faithfulness[0]
    assert (f.low, f.high) == pytest.approx((f.mean, f.mean), abs=1e-6) and f.n == 40
    assert found.beside == {}


def test_no_difference_between_all_and_nothing_has_no_ratio():
    found = circuit_curve(
        Planted(2, lambda x: int(x[0]) - int(x[1])), np.array([1.0, 0.0]), sizes=(0.5, 1.0)
    )
    assert found.faithfulness is None and found.cpr is None and "CPR unknown" in str(found)


def test_a_store_answers_without_the_model(tiny_llama, tmp_path):
    rng = np.random.default_rng(0)
    task = sm.TokenTask(rng.integers(1, 61, (6, 7)), answers=rng.integers(1, 61, (6, 4)))
    game = sm.TaskGame(tiny_llama, task, sm.select_players(tiny_llama, "heads"), split="all")
    scores = rng.normal(size=12)
    found = circuit_curve(game, scores, store=tmp_path / "store")
    stored = circuit_curve(sm.open_run(tmp_path / "store"), scores)
    assert str(stored) == str(found)


def test_the_figure_has_every_curve_and_area():
    game, sizes = additive(), (0.25, 0.5, 1.0)
    curves = {
        "best": circuit_curve(game, WEIGHTS, sizes=sizes),
        "worst": circuit_curve(game, -WEIGHTS, sizes=sizes),
    }
    left, right = plots.faithfulness_curves(curves).axes
    drawn = [line.get_ydata().tolist() for line in left.lines if line.get_marker() == "o"]
    assert drawn == [[e.mean for e in c.faithfulness] for c in curves.values()]
    points = [line.get_xdata()[0] for line in right.lines if line.get_marker() == "o"]
    assert points == [x for c in curves.values() for x in (c.cpr.mean, c.cmd.mean)]
    with pytest.raises(sm.InputError, match="metrics"):
        plots.faithfulness_curves({})


@pytest.mark.parametrize(
    ("kept", "told", "message"),
    [
        (WEIGHTS, {"sizes": (0.5, 0.2)}, "rising"),
        (WEIGHTS, {"sizes": (0.5, 1.5)}, "at most 1"),
        (WEIGHTS, {"sizes": (1.0,)}, "two or more"),
        (WEIGHTS[:3], {}, "scores of the 4 players"),
        (np.ones(4, dtype=bool), {}, "scores of the 4 players"),
        (np.array([1, 2, np.nan, 0]), {}, "not a number"),
        (np.ones((2, 4), dtype=bool), {}, "2 circuits were given for 10 sizes"),
        (np.ones((2, 4), dtype=bool), {"sizes": (0.5, 1.0)}, "keeps 4 of 4 players, expected at most 2"),
        (WEIGHTS, {"truth": np.ones(4, dtype=bool)}, "some outside it"),
        (WEIGHTS, {"truth": np.ones(3, dtype=bool)}, "expected bool"),
        (WEIGHTS, {"beside": ["kl"]}, "scores of single questions"),
        (WEIGHTS, {"seed": -1}, "seed is -1"),
    ],
)  # fmt: skip
def test_mistakes(kept, told, message):
    game = additive()
    with pytest.raises(sm.InputError, match=message):
        circuit_curve(game, kept, **told)
    assert game.asked == 0
