"""Synthetic games: value functions whose spectrum is known, to try designs and decoders on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64

from spex_mech.core.errors import InputError
from spex_mech.core.players import PlayerSet
from spex_mech.core.quoting import quoted
from spex_mech.core.spectrum import Spectrum

MOST_PLAYERS, MOST_SETS = 10_000, 100_000
"""Most players and sets of a card."""


@dataclass(frozen=True, eq=False)
class SyntheticGame:
    """A planted spectrum as a value function: ``game(masks)`` -> float64 (m,).

    Attributes:
        name: the card's name.
        spectrum: the truth.
    """

    name: str
    spectrum: Spectrum = field(repr=False)

    @cached_property
    def players(self) -> PlayerSet:
        """Players named ``x0``, ``x1``, ..."""
        return PlayerSet.from_names([f"x{i}" for i in range(self.spectrum.n)])

    @property
    def fingerprint(self) -> str:
        """Hash of the name and the spectrum."""
        digest = hashlib.sha256(f"{self.name} {self.spectrum.n}".encode())
        digest.update(self.spectrum.words.tobytes())
        digest.update(self.spectrum.coefficients.tobytes())
        return digest.hexdigest()

    def __call__(self, masks: npt.ArrayLike) -> Float64[np.ndarray, " m"]:
        """Values of masks (m, n), True = present."""
        return self.spectrum(np.asarray(masks))


def plant(
    *, players: int, sets: int, degrees: tuple[int, ...], hierarchy: bool, seed: int
) -> Spectrum:
    """A random sparse spectrum.

    Sets of players are drawn evenly among those of a degree, the degrees evenly among ``degrees``;
    coefficients are ±1 with a magnitude evenly from 0.5 to 1.5. With ``hierarchy`` every subset of a
    set has a coefficient as well, half as large for each player fewer; without it boosted trees find
    no smaller sets to start from (the "synthetic peak" of ProxySPEX, arXiv 2505.17495).

    Raises:
        InputError: a degree outside 1 to the number of players, or more sets than exist.
    """
    if not (1 <= players <= MOST_PLAYERS and sets <= MOST_SETS) or seed < 0:
        raise InputError(
            f"a game of {quoted(players)} players and {quoted(sets)} sets with seed {quoted(seed)}; "
            f"expected 1 to {MOST_PLAYERS} players, at most {MOST_SETS} sets and a seed of 0 or more"
        )
    if not degrees or not all(1 <= d <= players for d in degrees) or sets < 1:
        raise InputError(
            f"{sets} sets of degrees {quoted(list(degrees))} among {players} players; expected at least "
            f"one set and degrees from 1 to {players}"
        )
    if hierarchy and sets * 2 ** max(degrees) > MOST_SETS * 8:
        raise InputError(
            f"{sets} sets of up to {max(degrees)} players have too many subsets for a hierarchy; ask for "
            "fewer or smaller ones"
        )
    if sum(comb(players, degree) for degree in set(degrees)) < sets:
        raise _too_few(players, sets, degrees)
    rng = np.random.default_rng(seed)
    drawn: dict[tuple[int, ...], float] = {}
    for _ in range(1000 * sets):
        if len(drawn) == sets:
            break
        size = int(rng.choice(degrees))
        chosen = tuple(sorted(rng.choice(players, size, replace=False).tolist()))
        if chosen not in drawn:
            drawn[chosen] = float(rng.uniform(0.5, 1.5) * rng.choice([-1.0, 1.0]))
    if len(drawn) < sets:
        raise _too_few(players, sets, degrees)
    terms = [*drawn.items()]
    for members, value in drawn.items() if hierarchy else ():
        for size in range(1, len(members)):
            part = value / 2 ** (len(members) - size)
            terms += [(subset, part) for subset in combinations(members, size)]
    return Spectrum.from_supports([s for s, _ in terms], [c for _, c in terms], players)


def _too_few(players: int, sets: int, degrees: tuple[int, ...]) -> InputError:
    return InputError(
        f"there are not {sets} sets of degrees {quoted(list(degrees))} among {players} players; ask for "
        "fewer"
    )
