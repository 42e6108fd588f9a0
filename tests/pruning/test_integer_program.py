"""The best set of players by integer programming, against trying all of them."""

import numpy as np
import pytest

from spex_mech.core.errors import InputError
from spex_mech.core.limits import Limit, kv_groups, per_layer
from spex_mech.core.masks import all_masks
from spex_mech.core.players import ModelShape, Player, PlayerSet, select_players
from spex_mech.core.spectrum import Spectrum
from spex_mech.core.transform import exact_spectrum
from spex_mech.pruning.integer_program import best_set, least_used
from spex_mech.pruning.moves import AllowedSets


def random_spectrum(n, terms, seed):
    rng = np.random.default_rng(seed)
    supports = [tuple(rng.choice(n, rng.integers(1, 5), replace=False)) for _ in range(terms)]
    return Spectrum.from_supports(supports, rng.normal(size=terms), n)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("keep", [None, 0, 3, 6, 10])
def test_finds_the_best_of_all_sets(seed, keep):
    spectrum = random_spectrum(10, 30, seed)
    everything = all_masks(10)
    if keep is not None:
        everything = everything[everything.sum(axis=1) == keep]
    optimum = best_set(spectrum, keep=keep)
    assert optimum.gap == 0.0
    assert optimum.value == pytest.approx(spectrum(everything).max(), abs=1e-8)
    assert optimum.value == pytest.approx(spectrum(optimum.mask[None])[0])
    assert optimum.bound >= optimum.value


@pytest.mark.parametrize("seed", range(3))
def test_finds_the_best_under_limits(seed):
    spectrum = random_spectrum(9, 25, seed)
    weights = np.random.default_rng(seed).uniform(1.0, 3.0, size=9)
    limits = [Limit(weights, 8.0, "memory"), Limit(np.arange(9) < 4, 2)]
    everything = all_masks(9)
    allowed = everything[(everything @ weights <= 8.0) & (everything[:, :4].sum(axis=1) <= 2)]
    optimum = best_set(spectrum, limits=limits)
    assert optimum.value == pytest.approx(spectrum(allowed).max(), abs=1e-8)
    assert (allowed == optimum.mask).all(axis=1).any()


def test_a_full_spectrum_of_small_games():
    table = np.random.default_rng(5).normal(size=64)
    optimum = best_set(exact_spectrum(table), keep=3)
    sizes = all_masks(6).sum(axis=1)
    assert optimum.value == pytest.approx(table[sizes == 3].max(), abs=1e-8)


def test_the_terms_count_and_not_the_predictor():
    spectrum = random_spectrum(8, 20, 1)
    with_model = Spectrum(
        spectrum.words, spectrum.coefficients, 8, {}, lambda masks: -spectrum(masks)
    )
    np.testing.assert_array_equal(
        best_set(with_model, keep=4).mask, best_set(spectrum, keep=4).mask
    )


def test_a_limit_on_each_layer():
    players = PlayerSet(
        tuple(Player(f"L{k}H{h}", "head", k, h) for k in range(2) for h in range(4))
    )
    spectrum = Spectrum.from_supports([(i,) for i in range(8)], -np.arange(1.0, 9.0), 8)
    optimum = best_set(spectrum, limits=per_layer(players, 2))
    assert np.flatnonzero(optimum.mask).tolist() == [2, 3, 6, 7]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("keep", [None, 5])
def test_groups_cost_while_any_member_lives(seed, keep):
    spectrum = random_spectrum(9, 25, seed)
    limit = Limit(
        np.random.default_rng(seed).uniform(0.0, 1.0, size=9),
        6.0,
        "memory",
        [((0, 1, 2), 2.0), ((3, 4, 5), 1.5), ((6, 7), 1.0), ((2, 8), 0.5)],
    )
    everything = all_masks(9)
    everything = everything[limit.allows(everything)]
    if keep is not None:
        everything = everything[everything.sum(axis=1) == keep]
    optimum = best_set(spectrum, keep=keep, limits=[limit])
    assert optimum.gap == 0.0 and limit.allows(optimum.mask[None])[0]
    assert optimum.value == pytest.approx(spectrum(everything).max(), abs=1e-8)


def test_kv_groups_of_a_grouped_query_model():
    class Shaped:
        shape = ModelShape(2, 4, 2)

    players = select_players(Shaped(), "heads")
    # Heads 0, 2, 4 and 6 are worth most, each in a group of its own; pairs win when two groups may live.
    worth = [4.0, 1.0, 3.9, 1.5, 3.8, 1.0, 3.7, 2.0]
    spectrum = Spectrum.from_supports([(i,) for i in range(8)], [-w / 2 for w in worth], 8)
    optimum = best_set(spectrum, keep=4, limits=[kv_groups(players, Shaped(), 2)])
    assert np.flatnonzero(optimum.mask).tolist() == [2, 3, 6, 7]


@pytest.mark.parametrize("seed", range(3))
def test_the_least_use_is_that_of_all_sets(seed):
    rng = np.random.default_rng(seed)
    first = Limit(rng.uniform(0, 1, 8), 1.0, "first", [((0, 1, 2), 1.0), ((3, 4), 2.0)])
    second = Limit(rng.uniform(0, 1, 8), 2.0, "second", [((5, 6, 7), 0.5)])
    everything = all_masks(8)
    four = everything[everything.sum(axis=1) == 4]
    assert least_used(first, AllowedSets(8, 4)) == pytest.approx(first.used(four).min())
    beside = first.used(four[second.allows(four)]).min()
    assert least_used(first, AllowedSets(8, 4, [second])) == pytest.approx(beside)
    assert least_used(first, AllowedSets(8, 4, [Limit(np.ones(8), 3.0)])) is None


def test_running_out_of_time_leaves_an_honest_gap():
    spectrum = random_spectrum(60, 600, 0)
    optimum = best_set(spectrum, keep=30, seconds=2.0)
    assert optimum.mask.sum() == 30
    assert optimum.bound >= optimum.value == pytest.approx(spectrum(optimum.mask[None])[0])
    assert optimum.gap > 0.0


def test_bad_input():
    spectrum = random_spectrum(6, 10, 0)
    with pytest.raises(InputError, match="keep is 7, expected a number of players from 0 to 6"):
        best_set(spectrum, keep=7)
    with pytest.raises(
        InputError,
        match=r"no set of 5 of 6 players satisfies the limits \(memory\): memory takes at least 5 and "
        "may take 3; raise it, or keep fewer",
    ):
        best_set(spectrum, keep=5, limits=[Limit(np.ones(6), 3.0, "memory")])
    with pytest.raises(InputError, match=r"memory has weights of shape \(5,\)"):
        best_set(spectrum, limits=[Limit(np.ones(5), 3.0, "memory")])
    halves = [Limit(np.arange(6) < 3, 2, "first half"), Limit(np.arange(6) >= 3, 2, "second half")]
    with pytest.raises(
        InputError, match="first half takes at least 3 beside the others and may take 2"
    ):
        best_set(spectrum, keep=5, limits=halves)
    with pytest.raises(InputError, match="per_layer needs players"):
        per_layer(PlayerSet.from_names(["a", "b"]), 1)
