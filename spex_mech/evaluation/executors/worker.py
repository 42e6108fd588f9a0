"""What a worker does, wherever it runs: build the game once, score one batch after the other.

As a process, ``python -m spex_mech.evaluation.executors.worker FD`` serves at the end of a pipe.
"""

from __future__ import annotations

import pickle
import platform
import signal
import sys
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle

from spex_mech.evaluation.executors.executor import Batch, ScoredBatch, score_batch


class Worker:
    """A worker's game.

    Args:
        payload: a pickled function that builds the game, from the process that sends the masks.
    """

    def __init__(self, payload: bytes) -> None:
        self._game = cloudpickle.loads(payload)()

    def about(self) -> tuple[dict[str, str], str]:
        """The game's key, and the host's name."""
        return dict(self._game.key), platform.node()

    def score(self, batch: Batch) -> tuple[ScoredBatch | None, float, BaseException | None]:
        """Score a batch: what it gives, the seconds it took, and the error where it failed."""
        began = time.monotonic()
        try:
            scored = score_batch(self._game, batch)
        except Exception as error:
            return None, time.monotonic() - began, _portable(error)
        return scored, time.monotonic() - began, None


def serve(pipe: Connection) -> None:
    """Build the game that comes through the pipe, then score what comes, until the pipe is closed."""
    sys.path[:] = pickle.loads(pipe.recv_bytes())
    _send(pipe, "awake")
    payload = pipe.recv_bytes()
    try:
        worker = Worker(payload)
    except Exception:
        _send(pipe, "not started", traceback.format_exc())
        return
    _send(pipe, "started", *worker.about())
    while True:
        for position, batch in enumerate(pickle.loads(pipe.recv_bytes())):
            scored, seconds, error = worker.score(batch)
            if error is not None:
                _send(pipe, "failed", error)
                break
            _send(pipe, "done", position, scored, seconds)


def _send(pipe: Connection, kind: str, *content: object) -> None:
    pipe.send_bytes(cloudpickle.dumps((kind, *content)))


def _portable(error: BaseException) -> BaseException:
    """The error, or its text where another process could not read it."""
    try:
        copy: Any = cloudpickle.loads(cloudpickle.dumps(error))
    except Exception:
        copy = None
    if type(copy) is type(error) and str(copy) == str(error):
        return error
    return RuntimeError("".join(traceback.format_exception(error)))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that sends the masks decides
    try:
        with Connection(int(sys.argv[1])) as end:
            serve(end)
    except (EOFError, OSError):
        pass  # the other end is gone: nobody waits for an answer
