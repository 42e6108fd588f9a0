"""Handing chunks of batches to workers that may die, start late, or leave."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from statistics import median
from typing import Protocol, TypeAlias

from spex_mech.core.errors import InputError
from spex_mech.evaluation.executors.executor import Batch, Chunk, ScoredBatch, chunk_of

_DEATHS = 3  # after which a batch, or the start of a worker, is given up
_WAIT = 1.0
_LEAST_SECONDS, _MOST_SECONDS = 2.0, 60.0
_SHARE = 0.02  # of the time spent so far, which a chunk in flight may cost
_WAITING = 0.01  # of the time, for which evaluating may stand still while a chunk is stored
_CHUNKS_PER_SECOND = 4  # that the one writer is asked to take


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

    def close(self) -> None:
        """End all workers."""
        ...


@dataclass
class _Assignment:
    """The chunk of a worker, and which of its batches are done."""

    chunk: list[int]
    done: dict[int, ScoredBatch] = field(default_factory=dict)
    seconds: float = 0.0


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

    @property
    def workers(self) -> int:
        return len(self.starting) + len(self.idle) + len(self.working)

    def finish(self, worker: int) -> tuple[list[int], list[Chunk]]:
        """Take a worker's chunk from it: the batches that are not done, and a chunk of those that are."""
        task = self.working.pop(worker, _Assignment([]))
        positions = sorted(task.done)
        left = [batch for i, batch in enumerate(task.chunk) if i not in task.done]
        if not positions:
            return left, []
        finished = [task.chunk[i] for i in positions]
        return left, [chunk_of(finished, self.batches, [task.done[i] for i in positions])]


def dispatch(workers: Workers, batches: Sequence[Batch], key: Mapping[str, str]) -> Iterator[Chunk]:
    """Have workers evaluate batches; what a dead worker did not finish goes to another.

    Each worker has one chunk of batches, and gets the next one when all of them are done: what is
    evaluated and not yet taken by the caller is at most a chunk per worker. Where a worker's game fails,
    or this process is interrupted while it waits, all batches that are done are yielded first: at most
    one batch per worker is lost.

    Args:
        workers: the workers; closed in the end, whatever happens.
        batches: what to evaluate.
        key: what decides the answers; every worker's game must have the same.

    Raises:
        InputError: workers with another key; batches that killed three workers; workers that do not
            start.
    """
    state, pace = _State(batches, deque(range(len(batches)))), Pace()
    with closing(workers):
        while state.waiting or state.working:
            missing = min(workers.wanted(), len(state.waiting) + len(state.working)) - state.workers
            for _ in range(missing):
                state.starting.add(workers.start())
            _assign(workers, state, pace)
            try:
                events = workers.wait(_WAIT)
            except KeyboardInterrupt:
                yield from _finished(workers, state, key, pace)
                raise
            chunks, error = _handle(events, state, key, pace)
            if error is None:
                _assign(workers, state, pace)  # before the caller writes, so that no worker waits
            yield from chunks
            if error is not None:
                yield from _finished(workers, state, key, pace)
                raise error


def _assign(workers: Workers, state: _State, pace: Pace) -> None:
    """Give the next chunks to idle workers."""
    while state.idle and state.waiting:
        worker, count = state.idle.pop(), pace.size(len(state.waiting), state.workers)
        chunk = [state.waiting.popleft() for _ in range(min(count, len(state.waiting)))]
        state.working[worker] = _Assignment(chunk)
        workers.send(worker, [state.batches[i] for i in chunk])


def _handle(
    events: Sequence[Event], state: _State, key: Mapping[str, str], pace: Pace
) -> tuple[list[Chunk], BaseException | None]:
    """Note what happened: the chunks that it finished, and the first error that ends the run."""
    chunks: list[Chunk] = []
    errors: list[BaseException | None] = []
    for event in events:
        if isinstance(event, Started):
            errors.append(_started(state, event, key))
        elif isinstance(event, Failed):
            errors.append(event.error)
            chunks += state.finish(event.worker)[1]
        elif isinstance(event, Died):
            chunks_done, error = _died(state, event)
            chunks += chunks_done
            errors.append(error)
        elif event.worker in state.working:
            task = state.working[event.worker]
            task.done[event.position] = event.scored
            task.seconds += event.seconds
            if len(task.done) == len(task.chunk):
                chunks += state.finish(event.worker)[1]
                state.idle.append(event.worker)
                pace.took(len(task.chunk), task.seconds, state.workers)
    return chunks, next((error for error in errors if error is not None), None)


def _finished(
    workers: Workers, state: _State, key: Mapping[str, str], pace: Pace
) -> Iterator[Chunk]:
    """All batches that are done and not yet yielded; those still being evaluated are lost."""
    yield from _handle(workers.wait(0.0), state, key, pace)[0]
    for worker in list(state.working):
        yield from state.finish(worker)[1]


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


def _died(state: _State, event: Died) -> tuple[list[Chunk], InputError | None]:
    """Give a dead worker's batches back; the first that was not done may be the cause."""
    if event.worker in state.starting:
        state.starting.discard(event.worker)
        state.failed_starts += 1
        if state.failed_starts >= _DEATHS:
            return [], InputError(f"workers do not start: {event.reason}")
        return [], None
    if event.worker in state.idle:
        state.idle.remove(event.worker)
    left, chunks = state.finish(event.worker)
    state.waiting.extendleft(reversed(left))
    state.deaths.update(left[:1])
    if left and state.deaths[left[0]] >= _DEATHS:
        return chunks, InputError(
            f"{_DEATHS} workers died on the same masks, the last one: {event.reason}; they may be out "
            "of memory: give workers more, or take a smaller batch"
        )
    return chunks, None


class Pace:
    """Sizes of the next chunks, in batches.

    A chunk should take 2 seconds at first, later 2 % of the time spent so far, at most a minute; longer
    where storing one takes more than a hundredth of that, and with many workers so long that no more
    than four chunks per second arrive. Its size starts at one batch and at most doubles.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._size = 1.0
        self._waits: deque[float] = deque(maxlen=9)

    def size(self, left: int, workers: int) -> int:
        """Batches of the next chunk, when ``left`` are left for all workers."""
        fair = -(-left // max(1, workers))
        return max(1, min(int(self._size), fair))

    def waited(self, seconds: float) -> None:
        """Learn for how long evaluating stood still after a chunk, because it was stored."""
        self._waits.append(seconds)

    def took(self, batches: int, seconds: float, workers: int) -> None:
        """Learn from a chunk: ``batches`` took one worker so many seconds."""
        spent = time.monotonic() - self._began
        waiting = median(self._waits) / _WAITING if self._waits else 0.0
        target = min(max(_LEAST_SECONDS, _SHARE * spent, waiting), _MOST_SECONDS)
        target = max(target, workers / _CHUNKS_PER_SECOND)
        fitting = batches * target / max(seconds, 1e-9)
        self._size = max(1.0, min(fitting, 2 * max(batches, self._size)))
