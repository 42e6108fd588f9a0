"""Handing chunks to workers that may die, arrive late, or leave."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from spex_mech.core.errors import InputError
from spex_mech.evaluation.executors.executor import Answer, Batch, Rest, Scored, answer
from spex_mech.evaluation.executors.pace import Pace

_DEATHS = 3  # after which a batch, or the start of a worker, is given up
_WAIT = 1.0
_LAST_WORDS = 5.0


@dataclass(frozen=True)
class Ready:
    """A worker has built its game."""

    worker: int
    key: Mapping[str, str]
    where: str


@dataclass(frozen=True)
class Done:
    """A worker finished its chunk in so many seconds, or a first part of it until an error."""

    worker: int
    parts: Sequence[Scored]
    seconds: float
    error: BaseException | None = None
    rest: Rest | None = None


@dataclass(frozen=True)
class Died:
    """A worker is gone, and what it was doing is lost."""

    worker: int
    why: str


Event: TypeAlias = Ready | Done | Died


class Crew(Protocol):
    """Workers of one kind."""

    def wanted(self) -> int:
        """How many workers there should be now."""
        ...

    def hire(self) -> int:
        """Start a worker; it is `Ready` or has `Died` later."""
        ...

    def send(self, worker: int, batches: Sequence[Batch]) -> None:
        """Give a chunk to an idle worker; it is `Done` or the worker has `Died` later."""
        ...

    def wait(self, seconds: float) -> list[Event]:
        """What has happened, as soon as anything has."""
        ...

    def interrupt(self, workers: Collection[int]) -> bool:
        """Stop what workers are doing; whether they will soon be `Done` with what they finished."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...


@dataclass
class _Desk:
    """Who does what."""

    todo: deque[int]
    starting: set[int] = field(default_factory=set)
    idle: list[int] = field(default_factory=list)
    doing: dict[int, list[int]] = field(default_factory=dict)
    deaths: Counter[int] = field(default_factory=Counter)
    stillborn: int = 0

    @property
    def workers(self) -> int:
        return len(self.starting) + len(self.idle) + len(self.doing)


def dispatch(crew: Crew, batches: Sequence[Batch], key: Mapping[str, str]) -> Iterator[Answer]:
    """Have a crew evaluate batches; a dead worker's chunk goes to another.

    Each worker has one chunk, and gets the next one when its answer is in: what is evaluated and not
    yet taken by the caller is at most a chunk a worker. Where a worker fails, or this process is
    interrupted while it waits, the others are stopped and answer what they had finished.

    Args:
        crew: the workers; closed in the end, whatever happens.
        batches: what to evaluate.
        key: what decides the answers; every worker's game must have the same.

    Raises:
        InputError: workers with another key; batches that killed three workers; workers that do not
            start.
    """
    desk, pace = _Desk(deque(range(len(batches)))), Pace()
    with closing(crew):
        while desk.todo or desk.doing:
            for _ in range(min(crew.wanted(), len(desk.todo) + len(desk.doing)) - desk.workers):
                desk.starting.add(crew.hire())
            _assign(crew, desk, pace, batches)
            answers, error = [], None
            try:
                events = crew.wait(_WAIT)
            except KeyboardInterrupt:
                yield from _last_words(crew, desk, batches)
                raise
            for event in events:
                if not isinstance(event, Done):
                    trouble = _trouble(desk, event, key)
                    error = error or trouble
                else:
                    chunk = desk.doing.pop(event.worker)
                    done, rest = chunk[: len(event.parts)], chunk[len(event.parts) :]
                    desk.idle.append(event.worker)
                    desk.todo.extendleft(reversed(rest))
                    error = error or event.error
                    if done or event.rest:
                        answers.append(answer(done, batches, event.parts, event.rest))
                    if done:
                        pace.took(len(done), event.seconds, desk.workers)
            if error is None:
                _assign(crew, desk, pace, batches)  # nobody waits while the caller writes
            yield from answers
            if error is not None:
                yield from _last_words(crew, desk, batches)
                raise error


def _assign(crew: Crew, desk: _Desk, pace: Pace, batches: Sequence[Batch]) -> None:
    while desk.idle and desk.todo:
        worker, count = desk.idle.pop(), pace.size(len(desk.todo), desk.workers)
        chunk = [desk.todo.popleft()]
        # A batch that was with a worker when it died goes alone, to show whether it is the cause.
        while len(chunk) < count and desk.todo and not desk.deaths[chunk[0]]:
            if desk.deaths[desk.todo[0]]:
                break
            chunk.append(desk.todo.popleft())
        desk.doing[worker] = chunk
        crew.send(worker, [batches[i] for i in chunk])


def _last_words(crew: Crew, desk: _Desk, batches: Sequence[Batch]) -> Iterator[Answer]:
    """What workers had finished when they were stopped."""
    end = time.monotonic() + _LAST_WORDS
    coming = crew.interrupt(desk.doing.keys())
    while coming and desk.doing and time.monotonic() < end:
        for event in crew.wait(end - time.monotonic()):
            chunk = desk.doing.pop(event.worker, [])
            if isinstance(event, Done) and (event.parts or event.rest):
                yield answer(chunk[: len(event.parts)], batches, event.parts, event.rest)


def _trouble(desk: _Desk, event: Ready | Died, key: Mapping[str, str]) -> InputError | None:
    """Note who came or went; why that ends the run, if it does."""
    return _welcome(desk, event, key) if isinstance(event, Ready) else _mourn(desk, event)


def _welcome(desk: _Desk, event: Ready, key: Mapping[str, str]) -> InputError | None:
    for name in sorted(key.keys() | event.key.keys()):
        if key.get(name) != event.key.get(name):
            return InputError(
                f"the worker on {event.where} has another {name}: {event.key.get(name)!r}, this process "
                f"has {key.get(name)!r}; give every node the same files and versions"
            )
    desk.starting.discard(event.worker)
    desk.idle.append(event.worker)
    desk.stillborn = 0
    return None


def _mourn(desk: _Desk, event: Died) -> InputError | None:
    if event.worker in desk.starting:
        desk.starting.discard(event.worker)
        desk.stillborn += 1
        if desk.stillborn >= _DEATHS:
            return InputError(f"workers do not start: {event.why}")
        return None
    if event.worker in desk.idle:
        desk.idle.remove(event.worker)
    chunk = desk.doing.pop(event.worker, [])
    desk.deaths.update(chunk)
    desk.todo.extendleft(reversed(chunk))
    worst = max(chunk, key=lambda i: desk.deaths[i], default=None)
    if worst is not None and desk.deaths[worst] >= _DEATHS:
        return InputError(
            f"{_DEATHS} workers died on the same masks, the last one: {event.why}; they may be out of "
            "memory: give workers more, or take a smaller batch"
        )
    return None
