"""Handing chunks of batches to workers that may die, start late, or leave."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from math import inf
from typing import Protocol, TypeAlias

from spex_mech.core.errors import InputError
from spex_mech.evaluation.executors.executor import Batch, Chunk, ScoredBatch, chunk_of, masks_of
from spex_mech.evaluation.executors.pace import Pace

_DEATHS = 3  # after which a batch, or the start of a worker, is given up
_WAIT = 1.0


@dataclass(frozen=True)
class Started:
    """A worker has built its game, whose key this is, on a host."""

    worker: int
    key: Mapping[str, str]
    host: str


@dataclass(frozen=True)
class Done:
    """A worker finished the batch at a position of its chunk in so many seconds."""

    worker: int
    position: int
    scored: ScoredBatch
    seconds: float


@dataclass(frozen=True)
class Failed:
    """A worker's game raised an error; the worker does nothing more."""

    worker: int
    error: BaseException


@dataclass(frozen=True)
class Died:
    """A worker is gone, and the batch that it was evaluating is lost."""

    worker: int
    reason: str


Event: TypeAlias = Started | Done | Failed | Died


class Workers(Protocol):
    """Workers of one kind, each known by a number."""

    def wanted(self) -> int:
        """How many workers there should be now."""
        ...

    def start(self) -> int:
        """Start a worker; an event says later that it has `Started` or `Died`."""
        ...

    def send(self, worker: int, batches: Sequence[Batch]) -> None:
        """Give a chunk to an idle worker; each batch is `Done` later, or the worker `Failed` or `Died`."""
        ...

    def wait(self, seconds: float) -> list[Event]:
        """What has happened, as soon as anything has."""
        ...

    def kill(self, worker: int) -> None:
        """Kill a worker, whatever it does or does not do; no event comes from it any more."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...


@dataclass
class _Assignment:
    """The chunk of a worker, and which of its batches are done."""

    chunk: list[int]
    done: dict[int, ScoredBatch] = field(default_factory=dict)
    seconds: float = 0.0
    waited: float = 0.0  # for the batch that it is at


@dataclass
class _State:
    """Which batches wait, and what each worker does."""

    batches: Sequence[Batch]
    waiting: deque[int]
    starting: set[int] = field(default_factory=set)
    idle: list[int] = field(default_factory=list)
    working: dict[int, _Assignment] = field(default_factory=dict)
    deaths: Counter[int] = field(default_factory=Counter)
    failed_starts: int = 0
    ready: deque[Chunk] = field(default_factory=deque)

    @property
    def workers(self) -> int:
        return len(self.starting) + len(self.idle) + len(self.working)

    def finish(self, worker: int) -> list[int]:
        """Take a worker's chunk from it: what is done of it is ready, the batches that are not are given."""
        task = self.working.get(worker, _Assignment([]))
        positions = sorted(task.done)
        if positions:
            finished = [task.chunk[i] for i in positions]
            parts = [task.done[i] for i in positions]
            self.ready.append(chunk_of(finished, self.batches, parts))
        self.working.pop(worker, None)
        return [batch for i, batch in enumerate(task.chunk) if i not in task.done]


def check_batch_seconds(seconds: float | None) -> None:
    """Refuse a time limit that is none.

    Raises:
        InputError: a limit that is not a positive number.
    """
    if seconds is None:
        return
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < inf:
        raise InputError(
            f"batch_seconds is {seconds!r}, expected a number of seconds above 0, or None for no limit"
        )


def dispatch(
    workers: Workers,
    batches: Sequence[Batch],
    key: Mapping[str, str],
    batch_seconds: float | None = None,
) -> Iterator[Chunk]:
    """Have workers evaluate batches; what a dead worker did not finish goes to another.

    Each worker has one chunk of batches, and gets the next one when all of them are done: what is
    evaluated and not yet taken by the caller is at most a chunk per worker. Where a worker's game fails,
    or this process is interrupted, all batches that are done are yielded first: at most one batch per
    worker is lost. A caller that is interrupted itself says so by throwing the interrupt in here.

    Args:
        workers: the workers; closed in the end, whatever happens.
        batches: what to evaluate.
        key: what decides the answers; every worker's game must have the same.
        batch_seconds: after which a worker that has not finished its batch is killed, like one that
            died; None for no limit. Only the time counts for which this process waits for workers, so
            that one which was itself stopped, or was storing, kills nobody.

    Raises:
        InputError: workers with another key; batches on which three workers died or hung; workers that do
            not start.
    """
    state, pace = _State(batches, deque(range(len(batches)))), Pace()
    with closing(workers):
        try:
            while state.waiting or state.working:
                _start_missing(workers, state)
                _assign(workers, state, pace)
                error = _handle(_wait(workers, state, batch_seconds), state, key, pace)
                if error is None and batch_seconds is not None:
                    overdue = _kill_overdue(workers, state, batch_seconds)
                    error = _handle(overdue, state, key, pace)
                if error is None:
                    _assign(workers, state, pace)  # before the caller writes: no worker waits
                yield from _ready(state)
                if error is not None:
                    yield from _finished(workers, state, key, pace)
                    raise error
        except KeyboardInterrupt:  # here, or thrown in by a caller that was interrupted
            yield from _finished(workers, state, key, pace)
            raise


def _start_missing(workers: Workers, state: _State) -> None:
    missing = min(workers.wanted(), len(state.waiting) + len(state.working)) - state.workers
    for _ in range(missing):
        state.starting.add(workers.start())


def _assign(workers: Workers, state: _State, pace: Pace) -> None:
    """Give the next chunks to idle workers."""
    while state.idle and state.waiting:
        worker, count = state.idle.pop(), pace.size(len(state.waiting), state.workers)
        chunk = [state.waiting.popleft() for _ in range(min(count, len(state.waiting)))]
        state.working[worker] = _Assignment(chunk)
        workers.send(worker, [state.batches[i] for i in chunk])


def _handle(
    events: Sequence[Event], state: _State, key: Mapping[str, str], pace: Pace
) -> BaseException | None:
    """Note what happened: chunks are ready then; the first error that ends the run."""
    errors: list[BaseException | None] = []
    for event in events:
        if isinstance(event, Started):
            errors.append(_started(state, event, key))
        elif isinstance(event, Failed):
            errors.append(event.error)
            state.finish(event.worker)
        elif isinstance(event, Died):
            errors.append(_died(state, event))
        elif event.worker in state.working:
            task = state.working[event.worker]
            task.done[event.position] = event.scored
            task.seconds += event.seconds
            task.waited = 0.0
            if len(task.done) == len(task.chunk):
                state.finish(event.worker)
                state.idle.append(event.worker)
                pace.took(len(task.chunk), task.seconds, state.workers)
    return next((error for error in errors if error is not None), None)


def _wait(workers: Workers, state: _State, batch_seconds: float | None) -> list[Event]:
    """What happens next, and how long each batch that is being evaluated was waited for."""
    asked = time.monotonic()
    events = workers.wait(_patience(state, batch_seconds))
    for task in state.working.values():
        task.waited += min(time.monotonic() - asked, 2 * _WAIT)
    return events


def _patience(state: _State, batch_seconds: float | None) -> float:
    """For how long to wait at once."""
    if batch_seconds is None:
        return _WAIT
    left = (batch_seconds - task.waited for task in state.working.values())
    return max(0.01, min(_WAIT, *left)) if state.working else _WAIT


def _kill_overdue(workers: Workers, state: _State, batch_seconds: float) -> list[Event]:
    """Kill the workers that are at a batch for too long."""
    overdue = [w for w, task in state.working.items() if task.waited >= batch_seconds]
    for worker in overdue:
        workers.kill(worker)
    reason = f"had not finished after {batch_seconds:g} seconds (batch_seconds) and was killed"
    return [Died(worker, f"it {reason}") for worker in overdue]


def _ready(state: _State) -> Iterator[Chunk]:
    while state.ready:
        yield state.ready.popleft()


def _finished(
    workers: Workers, state: _State, key: Mapping[str, str], pace: Pace
) -> Iterator[Chunk]:
    """All batches that are done and not yet yielded; those still being evaluated are lost."""
    _handle(workers.wait(0.0), state, key, pace)
    for worker in list(state.working):
        state.finish(worker)
    yield from _ready(state)


def _started(state: _State, event: Started, key: Mapping[str, str]) -> InputError | None:
    for name in sorted(key.keys() | event.key.keys()):
        if key.get(name) != event.key.get(name):
            return InputError(
                f"the worker on {event.host} has another {name}: {event.key.get(name)!r}, this process "
                f"has {key.get(name)!r}; give every node the same files and versions"
            )
    state.starting.discard(event.worker)
    state.idle.append(event.worker)
    state.failed_starts = 0
    return None


def _died(state: _State, event: Died) -> InputError | None:
    """Give a dead worker's batches back; the first that was not done may be the cause."""
    if event.worker in state.starting:
        state.starting.discard(event.worker)
        state.failed_starts += 1
        if state.failed_starts >= _DEATHS:
            return InputError(f"workers do not start: {event.reason}")
        return None
    if event.worker in state.idle:
        state.idle.remove(event.worker)
    left = state.finish(event.worker)
    state.waiting.extendleft(reversed(left))
    state.deaths.update(left[:1])
    if left and state.deaths[left[0]] >= _DEATHS:
        masks = masks_of(state.batches[left[0]])
        return InputError(
            f"{_DEATHS} workers died on the same masks, the last one: {event.reason}; these are the "
            f"{len(masks)} masks of batch {left[0] + 1} of {len(state.batches)}, the first is "
            f"{masks[0].astype(int)}; workers may be out of memory, or a batch may take longer than "
            "batch_seconds: give them more, or take a smaller batch"
        )
    return None
