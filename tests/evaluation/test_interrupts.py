"""Ctrl-C at moments other than the usual one, in which the caller waits: finished batches are kept."""

from __future__ import annotations

import os
import sys
import time
from types import SimpleNamespace

import cloudpickle
import numpy as np
import pytest

import spex_mech as sm
from spex_mech.evaluation.executors import LocalExecutor
from spex_mech.evaluation.executors.dispatch import Started
from spex_mech.evaluation.executors.local import _Processes
from spex_mech.evaluation.executors.ray import _Actors
from spex_mech.evaluation.store.store import RunStore
from spex_mech.evaluation.tables import ValueTable

pytestmark = pytest.mark.skipif(os.name != "posix", reason="several workers need a POSIX system")
# Workers do not have the tests' folder: what is defined here travels with the game.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

MASKS = sm.designs.uniform(12, 60, seed=0).masks
DESIGN = sm.MaskDesign(MASKS, 0)
WEIGHTS = np.random.default_rng(0).normal(size=12)


class Pauses:
    """Weighted sums; a process does ``least`` batches and is at the next one for a minute."""

    fingerprint = "sums"

    def __init__(self, folder, least) -> None:
        self.players = sm.PlayerSet.from_names(f"p{i}" for i in range(12))
        self.folder, self.calls, self.least = folder, 0, least

    def __call__(self, masks):
        self.calls += 1
        if self.calls > self.least:
            time.sleep(60)
        (self.folder / f"{os.getpid()} {self.calls}").touch()
        return masks @ WEIGHTS


@pytest.mark.parametrize("where", ["store", "bar"])
def test_an_interrupt_while_the_caller_stores_keeps_what_other_workers_finished(
    tmp_path, monkeypatch, where
):
    (tmp_path / "log").mkdir()
    game = Pauses(tmp_path / "log", 6)
    finished = lambda: {path.name for path in (tmp_path / "log").iterdir()}  # noqa: E731

    def interrupt():
        """As soon as both workers have finished something, wait until neither goes on, and interrupt."""
        last, since = finished(), time.monotonic()
        if len({name.split()[0] for name in last}) < 2:
            return
        while time.monotonic() - since < 3:
            time.sleep(0.05)
            if finished() != last:
                last, since = finished(), time.monotonic()
        monkeypatch.undo()
        raise KeyboardInterrupt

    append, fill = RunStore.append, ValueTable.fill
    if where == "store":
        monkeypatch.setattr(RunStore, "append", lambda *a: (append(*a), interrupt()))
    else:
        monkeypatch.setattr(ValueTable, "fill", lambda *a: (fill(*a), interrupt()))
    with pytest.raises(KeyboardInterrupt):
        sm.evaluate(game, DESIGN, batch=4, executor=LocalExecutor(2), store=tmp_path / "s")
    kept = sm.open_run(tmp_path / "s")
    assert len(finished()) >= 2 and len(kept.masks) == 4 * len(finished())
    run = sm.evaluate(Pauses(tmp_path / "log", 99), DESIGN, store=tmp_path / "s")
    assert run.evaluated == 60 - len(kept.masks)
    assert (
        run.values.tobytes()
        == (sm.evaluate(lambda m: m @ WEIGHTS, DESIGN, batch=4)).values.tobytes()
    )


SCORED = (np.ones(4), None)


def test_an_interrupt_between_two_arrivals_from_actors_loses_neither():
    answers = {"a": (SCORED, 0.1, None), "b": KeyboardInterrupt(), "c": (SCORED, 0.3, None)}

    def get(ref):
        answer = answers[ref]
        if isinstance(answer, KeyboardInterrupt):
            answers[ref] = (SCORED, 0.2, None)
            raise answer
        return answer

    actor = SimpleNamespace(options=lambda **_: None)
    fake = SimpleNamespace(
        remote=lambda _: actor,
        put=lambda payload: payload,
        get=get,
        wait=lambda refs, num_returns, timeout: (refs[:num_returns], []),
        exceptions=SimpleNamespace(RayError=OSError),
    )
    workers = _Actors(fake, b"", 1, {"CPU": 1, "GPU": 0}, None)
    workers._actors = {7: actor}
    workers._waiting = {ref: (7, i) for i, ref in enumerate("abc")}
    with pytest.raises(KeyboardInterrupt):
        workers.wait(1.0)
    events = workers.wait(0.0)
    assert [(e.position, e.seconds) for e in events] == [(0, 0.1), (1, 0.2), (2, 0.3)]
    assert workers.wait(0.0) == []


def test_an_interrupt_between_two_arrivals_from_processes_loses_neither():
    workers = _Processes(cloudpickle.dumps(a_game), 2, (), 1, None)
    read, interrupted = workers._read, []
    try:
        for _ in range(2):
            workers.start()
        end = time.monotonic() + 60
        while sum(p.poll() for _, p in workers._children.values()) < 2:  # both are awake
            assert time.monotonic() < end
            time.sleep(0.01)
        for worker, (
            _,
            pipe,
        ) in workers._children.items():  # not wait: it takes an early start, too
            assert read(worker, pipe) is None
        while sum(p.poll() for _, p in workers._children.values()) < 2:  # both have started
            assert time.monotonic() < end
            time.sleep(0.01)

        def once(*arguments):
            interrupted.append(0)
            if len(interrupted) == 2:
                raise KeyboardInterrupt
            return read(*arguments)

        workers._read = once
        with pytest.raises(KeyboardInterrupt):
            workers.wait(1.0)
        assert [type(event) for event in workers.wait(0.0)] == [Started, Started]
    finally:
        workers.close()


def a_game():
    return SimpleNamespace(key={})
