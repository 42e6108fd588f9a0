"""The parts of a tested circuit: its players, their interactions, and the parts knocked out of it.

F(K) is the game's value with the players K kept and all others ablated. M is the set of all players, and
C is the circuit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from spex_mech.core.estimates import Estimate
from spex_mech.core.players import PlayerSet
from spex_mech.pruning.circuit_tests import LEVEL


@dataclass(frozen=True)
class Node:
    """A player of a circuit.

    Attributes:
        player: its position among all players.
        name: its name.
        effect: F(C) - F(C ∖ {v}); positive = the player v helps.
        knocked: K, the other players removed when its score was measured; often none.
        score: F(C ∖ K) - F(C ∖ (K ∪ {v})).
        p: p-value of a score of 0, corrected for all tests of the circuit (Holm).
    """

    player: int
    name: str
    effect: Estimate
    knocked: tuple[str, ...]
    score: Estimate
    p: float

    @property
    def needed(self) -> bool:
        """Whether the circuit is shown to change without it, at level 5 % for all nodes together."""
        return self.p < LEVEL


@dataclass(frozen=True)
class Edge:
    """An interaction of two players of a circuit, by name; ``std`` is None where it is unknown."""

    source: str
    target: str
    value: float
    std: float | None


@dataclass(frozen=True)
class KnockOut:
    """The same parts K removed from the circuit and from the model.

    Attributes:
        names: the players in K.
        circuit: F(C ∖ K).
        model: F(M ∖ K).
        difference: F(C ∖ K) - F(M ∖ K), paired.
    """

    names: tuple[str, ...]
    circuit: Estimate
    model: Estimate
    difference: Estimate


def names_in(mask: Bool[np.ndarray, " n"], players: PlayerSet) -> tuple[str, ...]:
    """The names of the players of a mask, in order."""
    return tuple(players.names[i] for i in np.flatnonzero(mask))
