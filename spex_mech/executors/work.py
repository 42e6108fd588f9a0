"""What a worker does, wherever it runs: build the game once, score batches."""

from __future__ import annotations

import platform
import time
import traceback
from collections.abc import Sequence
from typing import Any

import cloudpickle

from spex_mech.executors.executor import Batch, Game, Scored, key_of, score_batch


class Work:
    """A worker's game.

    Args:
        payload: a pickled function that builds the game, from the process that sends the masks.
    """

    def __init__(self, payload: bytes) -> None:
        self._game: Game = cloudpickle.loads(payload)()

    def about(self) -> tuple[dict[str, str], str]:
        """The game's key, and where this is."""
        return key_of(self._game), platform.node()

    def score(self, batches: Sequence[Batch]) -> tuple[list[Scored], float, Exception | None]:
        """Score batches until one fails: those that are done, the seconds it took, and the error."""
        began = time.monotonic()
        parts: list[Scored] = []
        try:
            for batch in batches:
                parts.append(score_batch(self._game, batch))
        except Exception as error:
            return parts, time.monotonic() - began, _portable(error)
        return parts, time.monotonic() - began, None


def _portable(error: Exception) -> Exception:
    """The error, or its text where another process could not read it."""
    try:
        again: Any = cloudpickle.loads(cloudpickle.dumps(error))
    except Exception:
        again = None
    if type(again) is type(error) and str(again) == str(error):
        return error
    return RuntimeError("".join(traceback.format_exception(error)))
