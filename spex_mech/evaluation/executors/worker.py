"""A worker process: ``python -m spex_mech.evaluation.executors.worker FD`` serves at the end of a pipe."""

from __future__ import annotations

import pickle
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection


def serve(pipe: Connection) -> None:
    """Build the game that comes through the pipe, then score what comes, until the pipe is closed."""
    sys.path[:] = pickle.loads(pipe.recv_bytes())
    _say(pipe, "hello")
    payload = pipe.recv_bytes()
    try:
        from spex_mech.evaluation.executors.work import Work

        work = Work(payload)
        about = work.about()
    except Exception:
        _say(pipe, "failed", traceback.format_exc())
        return
    _say(pipe, "ready", *about)
    while True:
        batches = pickle.loads(pipe.recv_bytes())
        with _interruptible():
            done = work.score(batches)
        _say(pipe, "done", *done)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let the process that sends the masks stop the game, once: what it finished is then handed over."""

    def stop(signum: int, frame: object) -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGUSR1, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def _say(pipe: Connection, kind: str, *content: object) -> None:
    import cloudpickle

    pipe.send_bytes(cloudpickle.dumps((kind, *content)))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that sends the masks decides
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # and says so with this one
    try:
        with Connection(int(sys.argv[1])) as end:
            serve(end)
    except (EOFError, OSError):
        pass  # the other end is gone: nobody wants an answer
