"""A worker process: ``python -m spex_mech.executors.child FD`` serves at the end of a pipe."""

from __future__ import annotations

import pickle
import signal
import sys
import traceback
from multiprocessing.connection import Connection


def serve(pipe: Connection) -> None:
    """Build the game that comes through the pipe, then score what comes, until the pipe is closed."""
    sys.path[:] = pickle.loads(pipe.recv_bytes())
    _say(pipe, "hello")
    payload = pipe.recv_bytes()
    try:
        from spex_mech.executors.work import Work

        work = Work(payload)
        about = work.about()
    except Exception:
        _say(pipe, "failed", traceback.format_exc())
        return
    _say(pipe, "ready", *about)
    while True:
        _say(pipe, "done", *work.score(pickle.loads(pipe.recv_bytes())))


def _say(pipe: Connection, kind: str, *content: object) -> None:
    import cloudpickle

    pipe.send_bytes(cloudpickle.dumps((kind, *content)))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that sends the masks decides
    try:
        with Connection(int(sys.argv[1])) as end:
            serve(end)
    except (EOFError, OSError):
        pass  # the other end is gone: nobody wants an answer
