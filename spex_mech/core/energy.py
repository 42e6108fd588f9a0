"""Where a spectrum's energy lies: in how many players at once, and in which layers.

The energy of a set T of players is the part of the game's variance that they carry together and no fewer do.
When each player is present with probability p, independently, the functions

    phi_T(x) = prod_{i in T} (chi_i(x) - mu) / sigma,  chi_i = (-1)^{x_i}, mu = 1 - 2p, sigma^2 = 4 p (1 - p)

are orthonormal (O'Donnell 2014, chapter 8.4), and f(x) = sum_T G(T) phi_T(x) with
G(T) = sigma^{|T|} sum_{S ⊇ T} mu^{|S| - |T|} F(S). The energies G(T)^2 of all T but the empty set add up to
the variance of f. At p = 1/2 they are the squares of the Fourier coefficients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, UInt64

from spex_mech.core.errors import InputError
from spex_mech.core.packed import degrees, players_of
from spex_mech.core.players import PlayerSet
from spex_mech.core.spectrum import Spectrum
from spex_mech.core.supersets import superset_sums


@dataclass(frozen=True, eq=False)
class LayerEnergy:
    """The energy of interactions by the layers that they join.

    The energy of a set of two or more players is divided equally between its pairs of players, and each pair
    belongs to the layers of its two players.

    Attributes:
        layers: numbers of the layers, increasing.
        shares: float64 (l, l), share of the interactions' energy for each pair of layers. It is symmetric;
            what joins two different layers stands at both places, half of it at each.
        chance: float64 (l, l), what sets of players drawn at random would have on average. It is the same
            for sets of every size.
    """

    layers: tuple[int, ...]
    shares: Float64[np.ndarray, "l l"]
    chance: Float64[np.ndarray, "l l"]

    @property
    def within(self) -> float:
        """Share of the interactions' energy that joins players of one layer."""
        return float(np.trace(self.shares))

    @property
    def within_by_chance(self) -> float:
        """What `within` would be on average for sets of players drawn at random."""
        return float(np.trace(self.chance))


def energies(
    spectrum: Spectrum, keep_rate: float = 0.5
) -> tuple[UInt64[np.ndarray, "u w"], Float64[np.ndarray, " u"]]:
    """The sets of players that carry energy, and how much each carries, from the spectrum's terms.

    Args:
        spectrum: any sparse spectrum; of one with a full model, the terms that were read out are counted.
        keep_rate: the probability p with which each player is present, above 0 and below 1.

    Returns:
        Packed sets uint64 (u, w) of at least one player, and their energies float64 (u,), in the squared
        units of the values. They add up to the variance of the terms' sum when players are present with
        probability p.

    Raises:
        InputError: a keep rate that is not between 0 and 1, or, at another rate than 1/2, terms so large that
            they have more than 2^27 subsets.
    """
    if not 0 < keep_rate < 1:
        raise InputError(f"keep_rate is {keep_rate}, expected a number above 0 and below 1")
    mu, sigma = 1 - 2 * keep_rate, 2 * float(np.sqrt(keep_rate * (1 - keep_rate)))
    largest = int(spectrum.degrees.max(initial=0))
    words, sums = superset_sums(
        spectrum, lambda s, t: sigma**t * mu ** (s - t) if mu or s == t else 0.0, 1, largest
    )
    return words, sums**2


def energy_by_order(spectrum: Spectrum, keep_rate: float = 0.5) -> Mapping[int, float]:
    """The share of the energy that sets of each number of players carry.

    Args:
        spectrum: as in `energies`.
        keep_rate: as in `energies`.

    Returns:
        Number of players, from 1 to that of the largest set, to its share; the shares add up to 1. It is
        empty for a spectrum that is constant.

    Raises:
        InputError: as `energies`.
    """
    words, energy = energies(spectrum, keep_rate)
    if not energy.sum() > 0:
        return {}
    by_order = np.bincount(degrees(words), weights=energy)
    return {order: float(by_order[order] / energy.sum()) for order in range(1, len(by_order))}


def energy_by_layers(
    spectrum: Spectrum, players: PlayerSet, keep_rate: float = 0.5
) -> LayerEnergy | None:
    """How the energy of interactions is divided between pairs of layers.

    Args:
        spectrum: as in `energies`.
        players: the players, which are parts of a model and so have layers.
        keep_rate: as in `energies`.

    Returns:
        The shares and what chance gives; None for a spectrum without interactions.

    Raises:
        InputError: players that have no layers or are not the spectrum's; else as `energies`.
    """
    layers, of_player = _layers(players)
    if len(players) != spectrum.n:
        raise InputError(
            f"there are {len(players)} players, the spectrum has {spectrum.n}; give the players of the game "
            "that was decoded"
        )
    words, energy = energies(spectrum, keep_rate)
    sizes = degrees(words)
    shares = np.zeros((len(layers), len(layers)))
    for size in range(2, int(sizes.max(initial=0)) + 1):
        rows = np.flatnonzero(sizes == size)
        members = of_player[players_of(words[rows], size)]
        each = energy[rows] / (size * (size - 1))
        for a in range(size):
            for b in range(size):
                if a != b:
                    np.add.at(shares, (members[:, a], members[:, b]), each)
    if not shares.sum() > 0:
        return None
    counts = np.bincount(of_player, minlength=len(layers)).astype(np.float64)
    chance = np.outer(counts, counts) - np.diag(counts)
    return LayerEnergy(layers, shares / shares.sum(), chance / chance.sum())


def _layers(players: PlayerSet) -> tuple[tuple[int, ...], Int64[np.ndarray, " n"]]:
    """The layers' numbers, and for each player the place of its layer among them."""
    numbers = [p.layer for p in players if p.layer is not None]
    if len(numbers) < len(players):
        name = next(p.name for p in players if p.layer is None)
        raise InputError(
            f"player {name!r} has no layer; the energy by layers is that of parts of a model, see "
            "select_players"
        )
    layers, place = np.unique(numbers, return_inverse=True)
    return tuple(layers.tolist()), place.reshape(-1)
