"""Helpers that all figures share; the colours are those of `core.palette`."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from spex_mech.core.errors import InputError
from spex_mech.core.palette import HELPS, HURTS
from spex_mech.core.players import Player, PlayerSet

MAP = "RdBu"  # name of the colour map: red hurts, blue helps


def sign_color(value: float) -> str:
    """Blue for what helps or is worth more together, red for the opposite."""
    return HELPS if value > 0 else HURTS


def plain(axes: Axes) -> None:
    """No box around the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)


def shown(text: str, most: int = 40) -> str:
    """A name as a figure shows it: no formulas, no control characters, not too long."""
    line = "".join(c if c.isprintable() else " " for c in text).replace("$", r"\$")
    return line if len(line) <= most else line[: most - 1] + "…"


def columns(players: Sequence[Player] | PlayerSet) -> list[str]:
    """The columns of a layer × part grid: heads, key/value groups, the MLP, whole layers.

    Raises:
        InputError: players that are not parts of a model.
    """
    if any(p.layer is None for p in players):
        raise InputError(
            "a head map needs parts of a model as players; plot top_interactions instead"
        )
    return list(dict.fromkeys(column(p) for p in sorted(players, key=_column_key)))


def column(player: Player) -> str:
    """The column of one player."""
    prefix = {"head": "head ", "kv": "group ", "mlp": "MLP", "layer": "whole"}[player.kind]
    return prefix + ("" if player.index is None else str(player.index))


def _column_key(player: Player) -> tuple[int, int]:
    return ["head", "kv", "mlp", "layer"].index(player.kind), player.index or 0
