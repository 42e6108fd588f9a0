"""Which parts of a circuit back each other up, which need each other, and what its heads attend to."""

from __future__ import annotations

from dataclasses import dataclass

from spex_mech.report.contents import Contents

_MOST = 12
SYNERGY, REDUNDANCY = "need each other, as in a chain", "back each other up"
CHANCE = "may be chance: less than two deviations from 0"


@dataclass(frozen=True)
class Relation:
    """Parts of a circuit that interact.

    Attributes:
        names: the parts.
        value: their interaction, in the index of the run.
        std: its standard deviation; None where it is not known.
        kind: what its sign says.
    """

    names: tuple[str, ...]
    value: float
    std: float | None
    kind: str


def relations(contents: Contents, most: int = _MOST) -> list[Relation]:
    """The strongest interactions of two or more parts that are all in the circuit, strongest first."""
    found, circuit = contents.interactions, contents.circuit
    if found is None or circuit is None:
        return []
    inside = [
        (s, v) for s, v in found.joint(len(found.values)) if v and circuit.mask[list(s)].all()
    ]
    return [
        Relation(
            tuple(contents.players.names[i] for i in s),
            float(v),
            None if found.std is None else float(found.std[s]),
            _kind(float(v), None if found.std is None else float(found.std[s])),
        )
        for s, v in inside[:most]
    ]


def _kind(value: float, std: float | None) -> str:
    if std is not None and abs(value) < 2 * std:
        return CHANCE
    return SYNERGY if value > 0 else REDUNDANCY


def attended(contents: Contents) -> list[tuple[str, list[list[tuple[str, float]]]]]:
    """Each shown head with the two tokens that it attends to most from the last position of each question."""
    patterns = contents.attention
    if not patterns:
        return []
    return [(head, [p.strongest(head) for p in patterns]) for head in patterns[0].heads]
