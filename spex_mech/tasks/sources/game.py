"""Synthetic games with a planted spectrum, see `synthetic`; they have no questions."""

from __future__ import annotations

from spex_mech.tasks.sources.source import EVERY_CARD, Source

SOURCE = Source(
    "game",
    "players",
    {**EVERY_CARD, "players": int, "sets": int, "degrees": list[int]},
    {"hierarchy": bool, "seed": int},
    None,
)
