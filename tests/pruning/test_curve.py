"""Pruning curves: one search for all sizes, no mask twice, and the smallest set with a value."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest

import spex_mech as sm
from spex_mech.core.errors import InputError
from spex_mech.core.limits import Limit
from spex_mech.core.masks import all_masks, pack
from spex_mech.pruning.curve import keep_rates, prune_curve
from spex_mech.pruning.smallest import smallest

N = 10
EVERYTHING = all_masks(N)


def game_of(seed: int) -> sm.Spectrum:
    """A random game in which players mostly help."""
    rng = np.random.default_rng(seed)
    sets = [s for k in (1, 2, 3) for s in itertools.combinations(range(N), k)]
    chosen = [sets[i] for i in rng.choice(len(sets), 40, replace=False)]
    singles = [(i,) for i in range(N)]
    return sm.Spectrum.from_supports(
        [*chosen, *singles], [*rng.normal(0, 0.4, size=40), *rng.uniform(-2, -0.2, size=N)], N
    )


def wrong(truth: sm.Spectrum, seed: int) -> sm.Spectrum:
    noise = np.random.default_rng(seed).normal(size=len(truth))
    return sm.Spectrum.from_words(truth.words, truth.coefficients + 0.5 * noise, N)


class Recorder:
    """A game that remembers what it was asked."""

    def __init__(self, truth):
        self.truth, self.asked = truth, np.zeros((0, N), dtype=bool)

    def __call__(self, masks):
        self.asked = np.concatenate([self.asked, masks])
        return self.truth(masks)


@dataclass(frozen=True)
class Known:
    masks: np.ndarray
    values: np.ndarray


def best_of_size(truth, size: int, allowed=EVERYTHING) -> float:
    return float(truth(allowed[allowed.sum(axis=1) == size]).max())


@pytest.mark.parametrize("seed", range(3))
def test_a_true_surrogate_gives_the_best_set_of_every_size(seed):
    truth = game_of(seed)
    curve = prune_curve(truth, truth, keeps=[2, 0.55, 8], validate=0)
    assert curve.sizes == [8, 5, 2] and curve.ablations == 0 and curve.masks.shape == (3, N)
    for point, size in zip(curve.points, curve.sizes, strict=True):
        assert truth(point.mask[None])[0] == pytest.approx(best_of_size(truth, size))
        assert point.measured is None
    assert curve.at(5) is curve.points[1]


@pytest.mark.parametrize("seed", range(2))
def test_ablations_of_all_sizes_correct_one_surrogate(seed):
    truth = game_of(seed)
    surrogate, game = wrong(truth, seed), Recorder(truth)
    blind = prune_curve(truth, surrogate, keeps=[7, 5, 3], validate=0)
    curve = prune_curve(game, surrogate, keeps=[7, 5, 3], validate=90, seed=0)
    assert len(game.asked) == curve.ablations <= 90
    assert len(np.unique(pack(game.asked))) == len(game.asked)
    assert {*game.asked.sum(axis=1)} > {3, 4, 5, 6, 7}
    for point in curve.points:
        assert point.measured == pytest.approx(truth(point.mask[None])[0])
        assert point.ablations == curve.ablations
    gained = sum(p.measured for p in curve.points) - sum(truth(blind.masks))
    lost = sum(best_of_size(truth, size) for size in curve.sizes) - sum(truth(blind.masks))
    assert (
        gained >= 0.9 * lost
    )  # 90 of the 1,024 sets find nine tenths of what the surrogate missed


def test_what_is_known_is_not_asked_again():
    truth = game_of(5)
    half = EVERYTHING[::2]
    game = Recorder(truth)
    curve = prune_curve(
        game, wrong(truth, 1), keeps=[6, 4], validate=40, known=Known(half, truth(half))
    )
    assert not {*pack(game.asked)[:, 0]} & {*pack(half)[:, 0]}
    for point in curve.points:  # the best known set counts as well
        size = point.mask.sum()
        assert point.measured >= truth(half[half.sum(axis=1) == size]).max()


def test_every_size_keeps_the_limits():
    truth = game_of(6)
    limit = Limit(np.linspace(1.0, 2.0, N), 8.0, "memory", [((0, 1, 2), 1.0)])
    game = Recorder(truth)
    prune_curve(game, wrong(truth, 2), keeps=[4, 3], validate=40, limits=[limit])
    assert limit.allows(game.asked).all() and {*game.asked.sum(axis=1)} == {3, 4}
    exact = prune_curve(truth, truth, keeps=[4, 3], validate=0, limits=[limit])
    allowed = EVERYTHING[limit.allows(EVERYTHING)]
    for point, size in zip(exact.points, exact.sizes, strict=True):
        assert point.predicted == pytest.approx(best_of_size(truth, size, allowed))
        assert point.optimum.value == pytest.approx(point.predicted)


def test_seeds_repeat():
    truth = game_of(7)
    first, second = (
        prune_curve(truth, wrong(truth, 3), keeps=[6, 3], validate=30, seed=4) for _ in range(2)
    )
    np.testing.assert_array_equal(first.masks, second.masks)


@pytest.mark.parametrize(("seed", "share"), [(0, 0.5), (1, 0.8), (2, 0.8)])
def test_the_smallest_set_with_a_value(seed, share):
    truth = game_of(seed)
    values = truth(EVERYTHING)
    at_least = values.min() + share * (values.max() - values.min())
    fewest = EVERYTHING[values >= at_least].sum(axis=1).min()
    game = Recorder(truth)
    pruned = smallest(game, truth, at_least=at_least, validate=60)
    assert pruned.measured >= at_least and pruned.mask.sum() == fewest
    assert len(game.asked) == pruned.ablations <= 60
    pruned = smallest(truth, wrong(truth, seed), at_least=at_least, validate=150)
    assert pruned.measured >= at_least and pruned.mask.sum() <= fewest + 1


def test_the_smallest_set_within_limits():
    truth = game_of(1)
    limit = Limit((np.arange(N) < 3).astype(float), 1.0, "first three")
    allowed = EVERYTHING[limit.allows(EVERYTHING)]
    at_least = 0.7 * truth(allowed).max()
    fewest = allowed[truth(allowed) >= at_least].sum(axis=1).min()
    game = Recorder(truth)
    pruned = smallest(game, truth, at_least=at_least, limits=[limit], validate=60)
    assert limit.allows(game.asked).all() and pruned.mask.sum() == fewest


def test_a_value_that_no_set_has():
    truth = game_of(0)
    with pytest.raises(
        InputError, match=r"no set with a value of at least 99 was found in \d+ abl"
    ):
        smallest(truth, truth, at_least=99.0, validate=30)
    with pytest.raises(InputError, match="validate is 0; finding the smallest set takes ablations"):
        smallest(truth, truth, at_least=1.0, validate=0)
    with pytest.raises(InputError, match="at_least is nan"):
        smallest(truth, truth, at_least=float("nan"))


def test_keep_rates_of_a_design_span_the_sizes():
    low, high = keep_rates([28, 0.25, 20], 32)
    assert low == pytest.approx(0.25 - 0.5 * np.sqrt(0.25 * 0.75 / 32))
    assert high == pytest.approx(1 - 1 / 32)
    design = sm.designs.biased(32, 4000, keep_rate=(low, high), seed=0)
    sizes = design.masks.sum(axis=1)
    assert np.quantile(sizes, 0.02) <= 8 and np.quantile(sizes, 0.98) >= 28
    assert keep_rates([1], 200)[0] == 0.02 and keep_rates([3], 3) == (0.9, 0.95)
    with pytest.raises(InputError, match="keeps is empty"):
        keep_rates([], 32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keeps": []}, "keeps is empty"),
        ({"keeps": [5, 11]}, "keep is 11, expected a number of players from 1 to 10"),
        ({"keeps": [1.0]}, "keep is 1.0, expected an integer from 1 to 10, or a share"),
        ({"keeps": [5], "validate": -1}, "validate is -1"),
        (
            {"keeps": [5], "limits": [Limit(np.ones(N), 4.0, "memory")]},
            "memory takes at least 5 and may take 4; raise it, or keep fewer",
        ),
        (
            {"keeps": [5], "known": Known(np.ones((1, 9), bool), np.ones(1))},
            "known masks are 9 players wide, the spectrum has 10",
        ),
    ],
)
def test_bad_curves(options, message):
    with pytest.raises(InputError, match=message):
        prune_curve(game_of(0), game_of(0), **options)


def test_a_size_that_is_not_there():
    curve = prune_curve(game_of(0), game_of(0), keeps=[5], validate=0)
    with pytest.raises(InputError, match=r"the curve has no size 4; it has \[5\]"):
        curve.at(4)


def test_rankings_propose_sets_that_are_ablated_first():
    truth = game_of(3)
    nothing = sm.Spectrum.from_supports([()], [0.0], N)
    good = np.array([-truth[(i,)] for i in range(N)])
    game = Recorder(truth)
    curve = prune_curve(game, nothing, keeps=[7, 4], validate=4, rankings=[good, -good])
    tops = [np.isin(np.arange(N), np.argsort(-s)[:k]) for k in (7, 4) for s in (good, -good)]
    np.testing.assert_array_equal(game.asked, tops)
    np.testing.assert_array_equal(curve.masks, [tops[0], tops[2]])
    assert curve.points[0].measured == pytest.approx(truth(tops[0][None])[0])


def test_the_search_goes_on_from_what_rankings_propose():
    with_rankings, without, alone = [], [], []
    for seed in range(6):
        truth = game_of(seed)
        nothing = sm.Spectrum.from_supports([()], [0.0], N)
        good = np.array([-truth[(i,)] for i in range(N)])
        for rankings, values in (([good], with_rankings), (None, without)):
            curve = prune_curve(truth, nothing, keeps=[6, 3], validate=12, rankings=rankings)
            assert curve.ablations <= 12
            values.append(sum(point.measured for point in curve.points))
        tops = np.stack([np.isin(np.arange(N), np.argsort(-good)[:k]) for k in (6, 3)])
        alone.append(truth(tops).sum())
    assert (np.array(with_rankings) >= np.array(alone) - 1e-9).all()
    assert np.mean(with_rankings) > np.mean(alone) and np.mean(with_rankings) > np.mean(without)


def test_rankings_obey_the_limits():
    truth = game_of(5)
    first = Limit((np.arange(N) < 5).astype(float), 2.0, "first five")
    scores = -np.arange(N, dtype=float)  # would keep the first players
    game = Recorder(truth)
    prune_curve(game, truth, keeps=[4], validate=1, limits=[first], rankings=[scores])
    np.testing.assert_array_equal(np.flatnonzero(game.asked[0]), [0, 1, 5, 6])


@pytest.mark.parametrize(
    ("rankings", "message"),
    [
        (np.zeros(N), r"shape \(10,\), expected \(rankings, 10\)"),
        (np.zeros((2, 3)), r"shape \(2, 3\)"),
        ([[np.nan] * N], "NaN or infinite"),
    ],
)
def test_rankings_of_another_shape_are_refused(rankings, message):
    truth = game_of(0)
    with pytest.raises(InputError, match=message):
        prune_curve(truth, truth, keeps=[4], validate=1, rankings=rankings)
