"""What a worker does, wherever it runs: build the game once, score batches."""

from __future__ import annotations

import platform
import time
import traceback
from collections.abc import Sequence
from typing import Any

import cloudpickle

from spex_mech.evaluation.executors.executor import (
    Batch,
    Game,
    Rest,
    Scored,
    key_of,
    rest_of,
    score_batch,
)


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

    def score(
        self, batches: Sequence[Batch]
    ) -> tuple[list[Scored], float, BaseException | None, Rest | None]:
        """Score batches until one fails or is interrupted.

        Returns:
            Those that are done, the seconds it took, the error, and what is done of the failed one.
        """
        began = time.monotonic()
        parts: list[Scored] = []
        try:
            for batch in batches:
                parts.append(score_batch(self._game, batch))
        except (Exception, KeyboardInterrupt) as error:
            rest = rest_of(self._game, batches[len(parts)])
            return parts, time.monotonic() - began, _portable(error), rest
        return parts, time.monotonic() - began, None, None


def _portable(error: BaseException) -> BaseException:
    """The error, or its text where another process could not read it."""
    try:
        again: Any = cloudpickle.loads(cloudpickle.dumps(error))
    except Exception:
        again = None
    if type(again) is type(error) and str(again) == str(error):
        return error
    return RuntimeError("".join(traceback.format_exception(error)))
