"""Workers that hang or are stopped: a time limit of a batch, after which they count as dead."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import cloudpickle
import numpy as np
import pytest

import spex_mech as sm
from spex_mech.evaluation.executors import LocalExecutor, RayExecutor
from spex_mech.evaluation.executors import dispatch as dispatching
from spex_mech.evaluation.executors.dispatch import Done, Started, dispatch
from spex_mech.evaluation.executors.executor import score_batch
from spex_mech.evaluation.games import as_game

pytestmark = pytest.mark.skipif(os.name != "posix", reason="several workers need a POSIX system")
# Workers do not have the tests' folder: what is defined here travels with the game.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

MASKS = sm.designs.uniform(12, 48, seed=0).masks
BATCHES = [MASKS[i : i + 4] for i in range(0, 48, 4)]
DESIGN = sm.MaskDesign(MASKS, 0)
WEIGHTS = np.random.default_rng(0).normal(size=12)


class Hangs:
    """Weighted sums; the first processes that reach the sixth batch hang there, or are stopped."""

    fingerprint = "sums"

    def __init__(self, folder, how=None, times=1, wide=0) -> None:
        self.players = sm.PlayerSet.from_names(f"p{i}" for i in range(12))
        self.folder, self.how, self.times, self.wide = folder, how, times, wide

    def __call__(self, masks):
        name = masks.tobytes().hex()
        (self.folder / f"{os.getpid()}-{name}").touch()
        if name == BATCHES[5].tobytes().hex() and len(self.seen(5)) <= self.times:
            if self.how == "stopped":
                os.kill(os.getpid(), signal.SIGSTOP)
            elif self.how == "hanging":
                time.sleep(600)
        time.sleep(0.01)
        return masks @ WEIGHTS

    def seen(self, batch: int) -> list[str]:
        return [path.name for path in self.folder.glob(f"*-{BATCHES[batch].tobytes().hex()}")]


def expected() -> np.ndarray:
    return sm.evaluate(lambda masks: masks @ WEIGHTS, DESIGN, batch=4).values


@pytest.mark.parametrize("how", ["hanging", "stopped"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_hangs_is_replaced_and_its_batch_evaluated_elsewhere(tmp_path, how, workers):
    game = Hangs(tmp_path, how)
    executor = LocalExecutor(workers, batch_seconds=4.0)
    began = time.monotonic()
    run = sm.evaluate(game, DESIGN, batch=4, executor=executor)
    assert time.monotonic() - began < 60
    assert run.values.tobytes() == expected().tobytes()
    pids = {int(name.split("-")[0]) for name in game.seen(5)}
    assert len(pids) == 2 and os.getpid() not in pids
    done = [path.name.split("-")[1] for path in tmp_path.iterdir()]
    assert len(done) == len(set(done)) + 1  # nothing but that batch came twice
    with pytest.raises(ProcessLookupError):  # the one that hung is gone
        for pid in sorted(pids):
            os.kill(pid, 0)


def test_masks_on_which_three_workers_hang_are_given_up_and_named(tmp_path):
    (tmp_path / "log").mkdir()
    game = Hangs(tmp_path / "log", "hanging", times=99)
    with pytest.raises(sm.InputError) as told:
        sm.evaluate(
            game,
            DESIGN,
            batch=4,
            executor=LocalExecutor(1, batch_seconds=1.0),
            store=tmp_path / "s",
        )
    text = str(told.value)
    assert "3 workers died on the same masks" in text and "after 1 seconds" in text
    assert f"4 masks of batch 6 of 12, the first is {MASKS[20].astype(int)}" in text
    assert len(game.seen(5)) == 3
    kept = sm.open_run(tmp_path / "s")
    assert len(kept.masks) >= 20  # all before it
    again = sm.evaluate(Hangs(tmp_path / "log"), DESIGN, store=tmp_path / "s")
    assert again.values.tobytes() == expected().tobytes()
    assert again.evaluated == 48 - len(kept.masks)


def test_a_worker_that_is_stopped_and_continued_in_time_costs_nothing(tmp_path):
    game = Hangs(tmp_path, "stopped")

    def go_on():
        while not game.seen(5):
            time.sleep(0.01)
        time.sleep(0.5)
        os.kill(int(game.seen(5)[0].split("-")[0]), signal.SIGCONT)

    helper = threading.Thread(target=go_on)
    helper.start()
    run = sm.evaluate(game, DESIGN, batch=4, executor=LocalExecutor(2, batch_seconds=30))
    helper.join()
    assert run.values.tobytes() == expected().tobytes()
    assert len(list(tmp_path.iterdir())) == 12  # every batch once


class Scripted:
    """One worker without a process, on a clock of its own: each batch takes a minute of it."""

    def __init__(self, monkeypatch, stopped_for: float) -> None:
        self.now, self.killed, self.stopped_for = 0.0, [], stopped_for
        self.events: list = []
        monkeypatch.setattr(dispatching.time, "monotonic", lambda: self.now)

    def wanted(self):
        return 1

    def start(self):
        self.events.append((0.0, Started(1, {}, "here")))
        return 1

    def send(self, worker, batches):
        for i, batch in enumerate(batches):
            done = Done(worker, i, score_batch(as_game(lambda m: m @ WEIGHTS), batch), 60.0)
            self.events.append((self.now + 60.0 * (i + 1), done))

    def wait(self, seconds):
        assert 0 <= seconds <= 1
        due = [event for at, event in self.events if at <= self.now]
        self.events = [(at, event) for at, event in self.events if at > self.now]
        if not due:
            self.now += seconds + self.stopped_for
            self.stopped_for = 0.0
        return due

    def kill(self, worker):
        self.killed.append(worker)
        self.events = []

    def close(self):
        pass


def test_time_in_which_this_process_is_stopped_or_stores_does_not_count(monkeypatch):
    workers, found = Scripted(monkeypatch, stopped_for=3600.0), []
    for chunk in dispatch(workers, BATCHES[:3], {}, batch_seconds=90):
        found += chunk.batches
        workers.now += 7200  # a slow disk
    assert sorted(found) == [0, 1, 2] and workers.killed == []
    monkeypatch.undo()
    workers = Scripted(monkeypatch, stopped_for=0.0)
    with pytest.raises(sm.InputError, match="3 workers died on the same masks"):
        list(dispatch(workers, BATCHES[:3], {}, batch_seconds=59))
    assert workers.killed == [1, 1, 1] and workers.now < 3 * 62


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), float("inf"), "5", True])
@pytest.mark.parametrize("executor", [LocalExecutor, RayExecutor])
def test_a_limit_that_is_none_is_refused(executor, seconds):
    with pytest.raises(sm.InputError, match=r"batch_seconds is .*, expected a number of seconds"):
        executor(batch_seconds=seconds)
