"""Evaluating in several processes of this machine, each with its own devices."""

from __future__ import annotations

import os
import pickle
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.core.games import Game
from spex_mech.evaluation.executors.dispatch import (
    Died,
    Done,
    Event,
    Failed,
    Started,
    check_batch_seconds,
    dispatch,
)
from spex_mech.evaluation.executors.executor import Batch, Chunk
from spex_mech.evaluation.executors.in_process import InProcessExecutor
from spex_mech.evaluation.executors.shipping import pack_game

_GRACE = 5.0


@dataclass(frozen=True)
class LocalExecutor:
    """Evaluates in worker processes of this machine.

    Each worker holds the model once. One that dies is replaced, and what it had not finished is evaluated
    again.

    Attributes:
        workers: number of processes; 1 without ``devices`` is this process itself.
        devices: for GPUs: what each worker sees, as in ``("0", "1")`` or, with two each,
            ``("0,1", "2,3")`` (``CUDA_VISIBLE_DEVICES`` of the worker). Their number is that of the workers.
        device_map: have each worker load the model by its name and spread it over its devices.
        threads: CPU threads of a worker; by default its share of those that this process may use.
        batch_seconds: time limit of a batch, for workers that hang; None for no limit. A worker that takes
            longer, or is stopped, is killed and replaced, and its batch goes to another one; after three
            on the same batch the run ends. Make it several times what a batch takes: a worker's first one
            is slower. The start of a worker has no limit. With a limit a single worker is a process of
            its own.
    """

    workers: int = 1
    devices: tuple[str, ...] = ()
    device_map: Any = None
    threads: int | None = None
    batch_seconds: float | None = None

    def __post_init__(self) -> None:
        check_batch_seconds(self.batch_seconds)
        if self.workers < 1:
            raise InputError(f"workers is {self.workers}, expected 1 or more")
        if self.devices and self.workers not in (1, len(self.devices)):
            raise InputError(
                f"{self.workers} workers for {len(self.devices)} devices; give each worker its own, or leave "
                "workers out"
            )

    @property
    def count(self) -> int:
        """Number of worker processes."""
        return max(self.workers, len(self.devices))

    def map(self, game: Game, batches: Sequence[Batch]) -> Iterator[Chunk]:
        """See `Executor.map`."""
        plain = not self.devices and self.device_map is None and self.batch_seconds is None
        if self.count == 1 and plain:
            return InProcessExecutor().map(game, batches)
        return self._map(game, batches)

    def describe(self) -> dict[str, Any]:
        """See `Executor.describe`."""
        return {"executor": "local", "workers": self.count, "devices": list(self.devices)}

    def _map(self, game: Game, batches: Sequence[Batch]) -> Iterator[Chunk]:
        if os.name != "posix":
            raise InputError(
                "several local workers need a POSIX system; use one, or executor='ray'"
            )
        device = "cuda" if self.devices and self.device_map is None else None
        payload = pack_game(game, device=device, device_map=self.device_map)
        threads = self.threads or max(1, _threads() // self.count)
        workers = _Processes(payload, self.count, self.devices, threads, self.batch_seconds)
        yield from dispatch(workers, batches, game.key, self.batch_seconds)


class _Processes:
    """Worker processes, each at the end of a pipe; they end when it is closed."""

    def __init__(
        self,
        payload: bytes,
        count: int,
        devices: tuple[str, ...],
        threads: int,
        batch_seconds: float | None,
    ) -> None:
        self._payload, self._count = payload, count
        self._devices, self._threads = devices, threads
        self._limit = None if batch_seconds is None else max(batch_seconds, _GRACE)
        self._children: dict[int, tuple[subprocess.Popen, Connection]] = {}
        self._slots: dict[int, int] = {}
        self._arrived: list[Event] = []  # kept here, lest an interrupt loses them
        self._started = 0

    def wanted(self) -> int:
        return self._count

    def start(self) -> int:
        worker, self._started = self._started, self._started + 1
        slot = min(set(range(self._count)) - {self._slots[w] for w in self._children})
        environment = {**os.environ, "OMP_NUM_THREADS": str(self._threads)}
        if self._devices:
            environment["CUDA_VISIBLE_DEVICES"] = self._devices[slot]
        pipe, other_end = Pipe()
        if self._limit is not None:
            _limit_pipe(pipe, self._limit)
        with other_end:
            child = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "spex_mech.evaluation.executors.worker",
                    str(other_end.fileno()),
                ],
                pass_fds=[other_end.fileno()],
                stdin=subprocess.DEVNULL,
                env=environment,
            )
        self._children[worker], self._slots[worker] = (child, pipe), slot
        self._write(worker, pickle.dumps(sys.path))
        return worker

    def send(self, worker: int, batches: Sequence[Batch]) -> None:
        self._write(worker, pickle.dumps(list(batches), protocol=5))

    def wait(self, seconds: float) -> list[Event]:
        workers = {pipe: worker for worker, (_, pipe) in self._children.items()}
        for pipe in wait(list(workers), seconds):
            more = True
            while more and pipe in workers:  # all that has arrived
                event = self._read(workers[pipe], pipe)  # type: ignore[index]
                self._arrived += [] if event is None else [event]
                more = workers[pipe] in self._children and pipe.poll()  # type: ignore
        events, self._arrived = self._arrived, []
        return events

    def kill(self, worker: int) -> None:
        child, pipe = self._children.pop(worker)
        pipe.close()
        child.kill()
        child.wait()

    def close(self) -> None:
        for child, pipe in self._children.values():
            pipe.close()
            child.terminate()
        end = time.monotonic() + _GRACE  # for all of them
        for child, _ in self._children.values():
            try:
                child.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._children.clear()

    def _write(self, worker: int, message: bytes) -> None:
        try:
            self._children[worker][1].send_bytes(message)
        except OSError:  # it died, or does not read for too long
            self._children[worker][0].kill()  # the pipe's end says so when it is next waited for

    def _read(self, worker: int, pipe: Any) -> Event | None:
        try:
            kind, *content = pickle.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            return self._end(worker)
        if kind == "awake":
            self._write(worker, self._payload)
            return None
        if kind == "not started":
            self._end(worker)
            return Died(worker, content[0])
        event = {"started": Started, "done": Done, "failed": Failed}[kind]
        return event(worker, *content)

    def _end(self, worker: int) -> Died:
        """End a worker whose pipe is closed or whose game could not be built."""
        child, pipe = self._children.pop(worker)
        pipe.close()
        child.terminate()
        try:
            code = child.wait(_GRACE)
        except subprocess.TimeoutExpired:
            child.kill()
            code = child.wait()
        reason = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return Died(worker, f"process {child.pid} {reason}")


def _limit_pipe(pipe: Connection, seconds: float) -> None:
    """Let reading or writing half a message fail after a time: a worker may be stopped in its middle."""
    limit = struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))
    with socket.socket(fileno=os.dup(pipe.fileno())) as end:  # the same pipe by another number
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


def _threads() -> int:
    set_by_user = os.environ.get("OMP_NUM_THREADS", "")
    if set_by_user.isdigit() and int(set_by_user):
        return int(set_by_user)
    return os.cpu_count() or 1
