"""Energies by order and layer against brute force over all masks."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from spex_mech.core.energy import energies, energy_by_layers, energy_by_order
from spex_mech.core.errors import InputError
from spex_mech.core.masks import all_masks
from spex_mech.core.packed import players_of
from spex_mech.core.players import Player, PlayerSet
from spex_mech.core.spectrum import Spectrum
from spex_mech.core.transform import exact_spectrum

N = 6
TABLE = np.random.default_rng(0).normal(size=1 << N)
MASKS = all_masks(N)
HEADS = PlayerSet(tuple(Player(f"L{i // 2}H{i % 2}", "head", i // 2, i % 2) for i in range(N)))


def brute_force(rate: float) -> dict[tuple[int, ...], float]:
    """Squared correlations with the orthonormal functions, mask by mask."""
    weight = np.prod(np.where(MASKS, rate, 1 - rate), axis=1)
    standard = (np.where(MASKS, -1.0, 1.0) - (1 - 2 * rate)) / (2 * np.sqrt(rate * (1 - rate)))
    return {
        s: float(weight @ (TABLE * standard[:, s].prod(axis=1))) ** 2
        for size in range(1, N + 1)
        for s in combinations(range(N), size)
    }


@pytest.mark.parametrize("rate", [0.5, 0.8, 0.31])
def test_energies_are_squared_correlations_and_add_up_to_the_variance(rate):
    words, energy = energies(exact_spectrum(TABLE), rate)
    found = {}
    for size in range(1, N + 1):
        rows = np.bitwise_count(words[:, 0]) == size
        names = map(tuple, players_of(words[rows], size).tolist())
        found |= dict(zip(names, energy[rows], strict=True))
    assert found == pytest.approx(brute_force(rate), abs=1e-12)
    weight = np.prod(np.where(MASKS, rate, 1 - rate), axis=1)
    assert energy.sum() == pytest.approx(weight @ TABLE**2 - (weight @ TABLE) ** 2)


@pytest.mark.parametrize("rate", [0.5, 0.8])
def test_shares_by_order(rate):
    truth = brute_force(rate)
    total = sum(truth.values())
    expected = {
        order: sum(v for s, v in truth.items() if len(s) == order) / total
        for order in range(1, N + 1)
    }
    assert energy_by_order(exact_spectrum(TABLE), rate) == pytest.approx(expected)


def test_a_triple_is_divided_between_its_pairs():
    spectrum = Spectrum.from_supports([(), (0,), (0, 1), (0, 1, 2)], [9.0, 5.0, 1.0, 2.0], N)
    found = energy_by_layers(spectrum, HEADS)
    assert found is not None and found.layers == (0, 1, 2)
    # The pair (energy 1) lies in layer 0; of the triple (energy 4) one pair of three does.
    assert found.within == pytest.approx((1 + 4 / 3) / 5)
    assert found.shares[0, 1] == found.shares[1, 0] == pytest.approx((4 * 2 / 3) / 5 / 2)
    assert found.shares.sum() == pytest.approx(1) and found.shares[2].sum() == 0


@pytest.mark.parametrize("size", [2, 3, 4])
def test_chance_is_the_mean_over_all_sets_of_a_size(size):
    sets = list(combinations(range(N), size))
    found = energy_by_layers(Spectrum.from_supports(sets, np.ones(len(sets)), N), HEADS)
    assert found is not None
    np.testing.assert_allclose(found.shares, found.chance)
    assert found.within_by_chance == pytest.approx(3 / 15)


def test_nothing_to_divide():
    constant = Spectrum.from_supports([()], [1.0], N)
    assert energy_by_order(constant) == {} and energy_by_layers(constant, HEADS) is None
    single = Spectrum.from_supports([(3,)], [1.0], N)
    assert energy_by_order(single) == {1: 1.0} and energy_by_layers(single, HEADS) is None


def test_what_is_refused():
    spectrum = exact_spectrum(TABLE)
    for rate in (0.0, 1.0, float("nan")):
        with pytest.raises(InputError, match="keep_rate is"):
            energies(spectrum, rate)
    with pytest.raises(InputError, match="'a' has no layer"):
        energy_by_layers(spectrum, PlayerSet.from_names("abcdef"))
    with pytest.raises(InputError, match="there are 1 players, the spectrum has 6"):
        energy_by_layers(spectrum, PlayerSet(HEADS.players[:1]))
