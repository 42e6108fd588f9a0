"""`Shown`: what a view shows of an input, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from spex_mech.core.short_repr import short_repr


@short_repr
@dataclass(frozen=True, eq=False)
class Shown:
    """An input with the effects of its parts and their interactions.

    Attributes:
        subject: the input and where its parts stand: a `Passage`, `Picture` or `Pair`.
        names: names of the parts.
        value: name of the game's value.
        effect: name of the index of single parts.
        effects: value of each part, positive = helps.
        index: name of the index of interactions.
        joint: the strongest interactions of two or more parts, strongest first; positive = worth more
            together (synergy), negative = they partly replace each other (redundancy).
        note: what the decoder says about its fit.
    """

    subject: Any = field(repr=False)
    names: tuple[str, ...] = field(repr=False)
    value: str
    effect: str
    effects: tuple[float, ...] = field(repr=False)
    index: str
    joint: tuple[tuple[tuple[int, ...], float], ...]
    note: str = field(default="", repr=False)

    def label(self, members: tuple[int, ...]) -> str:
        """Readable name of a set of parts."""
        return " × ".join(self.names[i] for i in members)

    def strongest(self, most: int) -> list[int]:
        """The parts with the largest effects, strongest first."""
        return sorted(range(len(self.effects)), key=lambda i: -abs(self.effects[i]))[:most]

    @property
    def largest(self) -> float:
        """The largest absolute effect; 1 where all are 0."""
        return max(map(abs, self.effects), default=0.0) or 1.0
