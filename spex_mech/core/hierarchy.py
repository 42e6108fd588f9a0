"""How hierarchical a spectrum is: whether the subsets of its large interactions are large, too.

ProxySPEX (arXiv 2505.17495) rests on this: boosted trees find an interaction of players after its subsets. It
reports that of the largest coefficients more than 80 % of the direct subsets are among the largest as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np

from spex_mech.core.errors import InputError
from spex_mech.core.spectrum import Spectrum


@dataclass(frozen=True)
class Hierarchy:
    """How often the direct subsets of the largest interactions are among the largest terms too.

    A direct subset of a set of players is that set without one of them.

    Attributes:
        terms: number of largest terms that were looked at, the constant not counted.
        interactions: how many of them have two or more players.
        direct: mean share of an interaction's direct subsets that are among the terms.
        staircase: share of the interactions that can be built one player at a time, from a single player
            on, with every step among the terms.
        chance: what ``direct`` would be on average if the sets of each size were drawn at random among all
            sets of that size.
    """

    terms: int
    interactions: int
    direct: float
    staircase: float
    chance: float


def hierarchy(spectrum: Spectrum, terms: int = 50) -> Hierarchy | None:
    """How often the direct subsets of the largest interactions are among the largest terms.

    Args:
        spectrum: any sparse spectrum; its coefficients are compared by absolute value, the constant is left
            out.
        terms: number of largest terms to look at, at least 1; all where there are fewer.

    Returns:
        The shares; None where no interaction of two or more players is among the terms.

    Raises:
        InputError: a number of terms below 1.
    """
    if terms < 1:
        raise InputError(f"terms is {terms}, expected at least 1")
    return hierarchy_of([frozenset(s) for s, c in spectrum.top(terms) if c], spectrum.n)


def hierarchy_of(sets: list[frozenset[int]], n: int) -> Hierarchy | None:
    """The same for sets of players 0 to n - 1 that are given; None where none has two players.

    Args:
        sets: different sets of at least one player.
        n: number of players.
    """
    known = set(sets)
    joint = [s for s in sets if len(s) > 1]
    if not joint:
        return None
    counts = np.bincount([len(s) for s in sets])
    direct = [np.mean([s - {i} in known for i in s]) for s in joint]
    chance = [counts[len(s) - 1] / comb(n, len(s) - 1) for s in joint]
    built = _built(known)
    return Hierarchy(
        terms=len(sets),
        interactions=len(joint),
        direct=float(np.mean(direct)),
        staircase=float(np.mean([s in built for s in joint])),
        chance=float(np.mean(chance)),
    )


def _built(known: set[frozenset[int]]) -> set[frozenset[int]]:
    """The sets that are reached from single players by adding one player at a time within ``known``."""
    built: set[frozenset[int]] = set()
    for s in sorted(known, key=len):
        if len(s) == 1 or any(s - {i} in built for i in s):
            built.add(s)
    return built
