"""Sending a game to another process of the same run.

Processes of one run hand each other games and masks by pickle, through pipes or Ray's object store. No
file is ever unpickled, and nothing is that another user could have written.
"""

from __future__ import annotations

from typing import Any

import cloudpickle

from spex_mech.core.errors import InputError
from spex_mech.core.games import Game


def pack_game(game: Game, *, device: str | None = None, device_map: Any = None) -> bytes:
    """What a worker of this run makes a game of, as bytes; see `Game.rebuild`.

    Raises:
        InputError: a ``device_map`` for a game without a model; a game that cannot be pickled.
    """
    rebuild = game.rebuild(device=device, device_map=device_map)
    try:
        return cloudpickle.dumps(rebuild)
    except Exception as error:
        raise InputError(
            f"the game cannot be sent to other processes ({error}); make it picklable, or use "
            "executor='local'"
        ) from error
