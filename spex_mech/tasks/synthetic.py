"""Synthetic games: value functions whose spectrum is known, to try designs and decoders on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64

from spex_mech.core.errors import InputError
from spex_mech.core.players import PlayerSet
from spex_mech.core.spectrum import Spectrum


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
    if not degrees or not all(1 <= d <= players for d in degrees) or sets < 1:
        raise InputError(
            f"{sets} sets of degrees {list(degrees)} among {players} players; expected at least one "
            f"set and degrees from 1 to {players}"
        )
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
        raise InputError(
            f"there are not {sets} sets of degrees {list(degrees)} among {players} players; ask for "
            "fewer"
        )
    terms = [*drawn.items()]
    for members, value in drawn.items() if hierarchy else ():
        for size in range(1, len(members)):
            part = value / 2 ** (len(members) - size)
            terms += [(subset, part) for subset in combinations(members, size)]
    return Spectrum.from_supports([s for s, _ in terms], [c for _, c in terms], players)
